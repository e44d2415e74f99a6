"""The input of a batch, line by line: what is wrong with it, and the requests that it holds.

A line is one JSON object with a name of its own (`custom_id`), the endpoint and the body. What a body may say is for
the endpoint; here it is bytes. Everything blocks: call it in a thread.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec

from webui.store.batches import BatchMistake

MAX_LINES = 50_000  #: as many as OpenAI takes
MAX_LINE_BYTES = 16 * 1024 * 1024  #: as long as a request may be
MAX_MISTAKES = 100  #: told of one input
MAX_ID = 512  #: characters of a custom_id


class _Envelope(msgspec.Struct):
    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


_ENVELOPES = msgspec.json.Decoder(_Envelope)


@dataclass(frozen=True, slots=True)
class Line:
    """One request; `number` is its place in the file, from 1, empty lines counted."""

    number: int
    custom_id: str
    body: bytes


class BatchInput:
    """A file of requests to one endpoint."""

    def __init__(self, path: Path, endpoint: str) -> None:
        self._path = path
        self._endpoint = endpoint

    def check(self) -> tuple[int, list[BatchMistake]]:
        """How many requests there are, and what is wrong with them."""
        mistakes: list[BatchMistake] = []
        known: set[str] = set()
        num_lines = 0
        for number, data in self._numbered():
            num_lines += 1
            if num_lines > MAX_LINES:
                reason = f"The file has more than {MAX_LINES:,} requests. Split it into several batches."
                return num_lines, [BatchMistake(code="too_many_tasks", message=reason, line=number)]
            mistake = self._mistake_of(number, data, known)
            if mistake is not None:
                mistakes.append(mistake)
                if len(mistakes) == MAX_MISTAKES:
                    break
        if not num_lines:
            reason = "The file has no requests. Each line is a JSON object with custom_id, method, url and body."
            mistakes.append(BatchMistake(code="empty_file", message=reason))
        return num_lines, mistakes

    def lines(self, done: Collection[str]) -> Generator[Line, None, None]:
        """The requests that are not done yet, of an input that `check` found right."""
        for number, data in self._numbered():
            envelope = _ENVELOPES.decode(data)
            if envelope.custom_id not in done:
                yield Line(number, envelope.custom_id, bytes(envelope.body))

    def _numbered(self) -> Iterator[tuple[int, bytes]]:
        """Lines that are not empty; one that is too long comes cut, and ends it."""
        with self._path.open("rb") as file:
            number = 0
            while data := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if data.strip():
                    yield number, data
                if len(data) > MAX_LINE_BYTES:
                    return

    def _mistake_of(self, number: int, data: bytes, known: set[str]) -> BatchMistake | None:
        if len(data) > MAX_LINE_BYTES:
            reason = f"This line is longer than {MAX_LINE_BYTES:,} bytes."
            return BatchMistake(code="line_too_long", message=reason, line=number)
        try:
            envelope = _ENVELOPES.decode(data)
        except msgspec.ValidationError as error:
            reason = f"This line is no request with custom_id, method, url and body: {error}."
            return BatchMistake(code="invalid_request", message=reason, line=number)
        except (msgspec.DecodeError, RecursionError):
            return BatchMistake(code="invalid_json_line", message="This line is not valid JSON.", line=number)
        for param, code, reason in self._mistakes_in(envelope, known):
            return BatchMistake(code=code, message=reason, line=number, param=param)
        known.add(envelope.custom_id)
        return None

    def _mistakes_in(self, envelope: _Envelope, known: set[str]) -> Iterator[tuple[str, str, str]]:
        """Field, code and sentence of each."""
        name, method, url = envelope.custom_id, envelope.method, envelope.url
        if not 1 <= len(name) <= MAX_ID:
            yield "custom_id", "invalid_custom_id", f"A custom_id has 1 to {MAX_ID} characters."
        if name in known:
            yield "custom_id", "duplicate_custom_id", f"“{name}” is the custom_id of an earlier line."
        if method != "POST":
            yield "method", "invalid_method", f"The method is POST, not “{method[:20]}”."
        if url != self._endpoint:
            yield "url", "mismatched_endpoint", f"The url is the batch's endpoint {self._endpoint}, not “{url[:80]}”."
        if not bytes(envelope.body).startswith(b"{"):
            yield "body", "invalid_body", "The body is a JSON object."


def take(lines: Iterator[Line], count: int) -> list[Line]:
    """The next few; empty when there are no more."""
    return list(islice(lines, count))
