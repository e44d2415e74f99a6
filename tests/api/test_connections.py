"""Who opens many connections, or says nothing over one, keeps nobody else out."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack

import httpx
import uvicorn

from tests.conftest import ServerStarter
from tests.support.server import find_free_port, find_lan_address
from webui.api.door.connections import MAX_PER_ADDRESS, BoundedHttp


def is_cut(connection: socket.socket) -> bool:
    connection.settimeout(0.2)
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def test_one_guest_does_not_take_every_connection(start_server: ServerStarter) -> None:
    address = find_lan_address()
    assert address is not None, "this test needs a network interface besides loopback"
    server = start_server(lan=True, port=find_free_port("0.0.0.0"))
    with ExitStack() as stack:
        held = []
        for _ in range(MAX_PER_ADDRESS + 10):
            connection = stack.enter_context(socket.create_connection((address, server.port), timeout=10))
            connection.sendall(b"GET / HTTP/1.1\r\n")
            held.append(connection)
        assert httpx.get(f"{server.base_url}/health", trust_env=False).status_code == 200
        assert all(is_cut(connection) for connection in held[MAX_PER_ADDRESS:])
        assert not is_cut(held[0])
        held[0].close()
        assert not any(is_cut(connection) for connection in held[1:3])


async def test_a_connection_without_a_request_is_closed() -> None:
    class Impatient(BoundedHttp):
        header_seconds = 0.05

    async def answer(scope: object, receive: object, send: object) -> None:
        raise AssertionError("nobody asked")

    server = uvicorn.Server(uvicorn.Config(answer, http=Impatient, lifespan="off", log_config=None))
    listener = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(b"GET / HTTP/1.1\r\nHost: ")
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()
    server.should_exit = True
    await serving
