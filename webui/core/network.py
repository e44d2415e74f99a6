"""Under which addresses other machines reach this server. It asks the operating system and sends nothing."""

from __future__ import annotations

import ipaddress
import socket

import psutil

_VIRTUAL = ("docker", "br-", "veth", "virbr", "vmnet", "vboxnet", "cni", "flannel", "podman")


def find_lan_addresses() -> list[str]:
    """IPv4 addresses of this machine, the one that reaches the outside first; no loopback, no container bridges."""
    running = psutil.net_if_stats()
    found = [
        entry.address
        for name, entries in psutil.net_if_addrs().items()
        if name in running and running[name].isup and not name.startswith(_VIRTUAL)
        for entry in entries
        if entry.family == socket.AF_INET and _is_reachable(entry.address)
    ]
    first = _outgoing_address()
    return sorted(dict.fromkeys(found), key=lambda address: address != first)


def share_urls(port: int, listen_host: str) -> list[str]:
    """The URLs to give to others, best first; empty when nobody else can come, or this machine has no network."""
    address = ipaddress.ip_address(listen_host) if _is_address(listen_host) else None
    if address is None or address.is_loopback:
        return []
    hosts = find_lan_addresses() if address.is_unspecified else [listen_host]
    return [f"http://{f'[{host}]' if ':' in host else host}:{port}" for host in hosts]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_reachable(text: str) -> bool:
    address = ipaddress.ip_address(text)
    return not (address.is_loopback or address.is_link_local)


def _outgoing_address() -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a documentation address: UDP only asks for the route, nothing is sent
        except OSError:
            return None
        return str(probe.getsockname()[0])
