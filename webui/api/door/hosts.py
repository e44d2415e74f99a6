"""Which host names are ours, and whether a request comes from one of our own pages.

A page elsewhere can point its own name at this machine (DNS rebinding), so a name is answered only when it cannot be
such a one: an address, `localhost`, this machine's own name, or what the settings allow. Pure functions of strings.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

_LOCAL_SUFFIXES = ("local", "lan", "home", "home.arpa", "internal", "fritz.box")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def own_names(machine_name: str) -> frozenset[str]:
    """The names that a home network gives to this machine."""
    full = machine_name.lower().rstrip(".")
    short = full.split(".")[0]
    return frozenset({"localhost", full, short, *(f"{short}.{suffix}" for suffix in _LOCAL_SUFFIXES)}) - {""}


@lru_cache(maxsize=256)
def split_host(header: str) -> tuple[str, int | None] | None:
    """Name and port of a Host header, lower case and without brackets; None for nonsense."""
    try:
        parts = urlsplit(f"//{header}")
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname or parts.netloc != header or parts.username is not None or any(map(str.isspace, header)):
        return None
    return parts.hostname.rstrip("."), port


@lru_cache(maxsize=256)
def is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.split("%", maxsplit=1)[0])
    except ValueError:
        return False
    return True


@lru_cache(maxsize=256)
def is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback


def is_allowed_host(header: str, names: Iterable[str]) -> bool:
    host = split_host(header)
    return host is not None and (is_address(host[0]) or host[0] in names)


def is_same_origin(origin: str, host_header: str) -> bool:
    """Whether a page of `origin` was served by `host_header`. An opaque origin ("null") is nobody's."""
    scheme, _, rest = origin.partition("://")
    page, host = split_host(rest), split_host(host_header)
    if scheme not in _DEFAULT_PORTS or page is None or host is None:
        return False
    default = _DEFAULT_PORTS[scheme]
    return page[0] == host[0] and (page[1] or default) == (host[1] or default)


def origin_pattern(allowed: Iterable[str]) -> re.Pattern[str]:
    """What an Origin header of an allowed page looks like. `http://localhost:*` is every port of that host,
    `vscode-webview://*` every page of a program's own scheme (`config` lets no other star through)."""
    return re.compile("|".join(map(_one_origin, allowed)) or "(?!)", re.IGNORECASE)


def _one_origin(origin: str) -> str:
    if origin.endswith(":*"):
        return re.escape(origin.removesuffix(":*")) + r"(?::\d{1,5})?"
    return re.escape(origin.removesuffix("*")) + (r"[^\s]*" if origin.endswith("*") else "")


def is_local_path(target: str) -> bool:
    """Whether a redirect to `target` stays here: `//evil.example` and `/\\evil.example` do not."""
    return target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
