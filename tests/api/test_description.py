"""Our own description of the API, held against the API: every route is asked for what the description allows and for
what it does not, and must never fail, and must answer as it says.

The examples are the same each time. More of them: `FUZZ_EXAMPLES=500 scripts/test tests/api/test_description.py`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import requests
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api.test_hub import hub  # noqa: F401 - a fixture
from tests.support.fake_hub import FakeHub

NUM_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2"))
CHECKS: list[Any] = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
Ask = Callable[[Case[Any]], httpx.Response]


@schemathesis.serializer("application/offset+octet-stream")
def serialize_piece(_: Any, value: Any) -> bytes:
    """A piece of an import."""
    return str(value).encode()


async def test_every_answer_is_as_described(app: FastAPI, client: httpx.AsyncClient, hub: FakeHub) -> None:  # noqa: F811
    loop = asyncio.get_running_loop()

    def ask(case: Case[Any]) -> httpx.Response:
        """From Hypothesis' thread to the loop in which the Application lives."""
        return asyncio.run_coroutine_threadsafe(send(client, case), loop).result(timeout=30)

    failures = await asyncio.to_thread(lambda: list(find_failures(app.openapi(), ask)))
    assert not failures, "\n\n".join(failures)


async def send(client: httpx.AsyncClient, case: Case[Any]) -> httpx.Response:
    wanted = requests.Request(**case.as_transport_kwargs(base_url=str(client.base_url))).prepare()
    assert wanted.url is not None
    headers = [(name.encode(), str(value).encode("latin-1")) for name, value in wanted.headers.items()]
    body = wanted.body if isinstance(wanted.body, bytes) else str(wanted.body or "").encode()
    return await client.send(client.build_request(str(wanted.method), wanted.url, headers=headers, content=body))


def find_failures(description: dict[str, Any], ask: Ask) -> Iterator[str]:
    schema = schemathesis.openapi.from_dict(description)
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            try:
                hold(operation, mode, ask)
            except Unsatisfiable:  # a route that takes nothing can be asked nothing wrong
                assert mode is GenerationMode.NEGATIVE
            except (FailureGroup, AssertionError) as failure:
                yield f"{operation.label}, {mode.value}: {failure}"


def hold(operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode, ask: Ask) -> None:
    """Ask for some of what can be asked, the same each time; for what cannot, half as often."""
    count = NUM_EXAMPLES if mode is GenerationMode.POSITIVE else max(1, NUM_EXAMPLES // 2)
    limits = settings(
        max_examples=count, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip

    @limits
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Case[Any]) -> None:
        response = ask(case)
        assert response.status_code not in {500, 501}, f"{response.status_code} {response.text[:500]}"
        case.validate_response(response, checks=CHECKS)

    check()
