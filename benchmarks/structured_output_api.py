"""Does the API keep its word? Every schema of the JSON-Schema-Test-Suite, sent to a real server with the starter model.

    python benchmarks/structured_output_api.py [path of an unpacked `jsonschema` source distribution]

A schema is refused with 400, or every answer that came to its end is valid. The model knows nothing of what it writes:
a high temperature makes it try much. Answers that go on after some tokens say nothing and are counted apart.
Exits with 1 when an answer is invalid, or a refusal is another status than 400.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import httpx  # noqa: E402
import jsonschema  # noqa: E402
from structured_output import cases, find_suite  # noqa: E402

from tests.support.server import RunningServer  # noqa: E402

ANSWERS = 2  #: for each schema
AT_ONCE = 4
MAX_TOKENS = 60
_CHECKER = jsonschema.FormatChecker()


async def judge(client: httpx.AsyncClient, schema: Any, seed: int) -> str:
    """`refused`, `valid`, `unfinished`; or `INVALID` and `FAILED`, which must not be."""
    form = {"type": "json_schema", "json_schema": {"name": "case", "schema": schema}}
    body = {"messages": [{"role": "user", "content": "Write some JSON."}], "response_format": form, "seed": seed}
    response = await client.post(
        "/v1/chat/completions", json=body | {"max_tokens": MAX_TOKENS, "temperature": 1.5}, timeout=120
    )
    if response.status_code != 200:
        return "refused" if response.status_code == 400 else f"FAILED with {response.status_code}: {response.text}"
    choice = response.json()["choices"][0]
    if choice["finish_reason"] != "stop":
        return "unfinished"
    text = choice["message"]["content"]
    try:
        validator = jsonschema.Draft202012Validator(schema, format_checker=_CHECKER)
        return "valid" if validator.is_valid(json.loads(text)) else f"INVALID {text} under {json.dumps(schema)}"
    except ValueError:
        return f"INVALID {text!r} is no JSON"


async def judge_all(url: str, schemas: list[Any]) -> Counter[str]:
    verdicts: Counter[str] = Counter()
    places = asyncio.Semaphore(AT_ONCE)

    async def judge_one(client: httpx.AsyncClient, schema: Any, seed: int) -> None:
        async with places:
            verdict = await judge(client, schema, seed)
        verdicts[verdict.split()[0]] += 1
        if verdict.isupper() or verdict.split()[0].isupper():
            print(verdict, flush=True)

    async with httpx.AsyncClient(base_url=url, trust_env=False) as client, asyncio.TaskGroup() as group:
        for schema in schemas:
            for seed in range(ANSWERS):
                group.create_task(judge_one(client, schema, seed))
    return verdicts


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        suite = find_suite(sys.argv[1] if len(sys.argv) > 1 else None, folder)
        # The wire takes objects; `true` and `false`, which the suite has too, are no objects.
        schemas = [case["schema"] for case in cases(suite) if isinstance(case["schema"], dict)]
        with RunningServer(folder / "house") as server:
            verdicts = asyncio.run(judge_all(server.base_url, schemas))
    print(f"{len(schemas)} schemas, {ANSWERS} answers each: {dict(verdicts.most_common())}")
    return 1 if verdicts["INVALID"] or verdicts["FAILED"] else 0


if __name__ == "__main__":
    sys.exit(main())
