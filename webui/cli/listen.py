"""The listening socket, taken before anything slow happens: a port in use is said at once."""

from __future__ import annotations

import errno
import os
import socket

from webui.errors import GlasshouseError


class PortInUse(GlasshouseError):
    code = "port_in_use"

    def __init__(self, port: int) -> None:
        super().__init__(
            f"Port {port} is already in use, perhaps by another Glasshouse. Stop that one or take another port: "
            f"--port {port + 1 if port < 65535 else 8002}",
            port=port,
        )


class CannotListen(GlasshouseError):
    code = "cannot_listen"

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"Glasshouse cannot listen on {host}, port {port}: {reason}.", host=host, port=port)


def open_listener(host: str, port: int) -> socket.socket:
    """A bound and listening socket: early connections wait in it until the server is up."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except socket.gaierror as error:
        raise CannotListen(host, port, "there is no such address") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(port) from error
        raise CannotListen(host, port, _reason(error)) from error


def _reason(error: OSError) -> str:
    """The system's own words; Python's socket module adds its own to `strerror`."""
    return (os.strerror(error.errno) if error.errno else str(error)).lower()
