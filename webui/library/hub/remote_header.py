"""The header of a model that is not here: the first megabytes of its file, through the same reader as every file."""

from __future__ import annotations

from urllib.parse import urlsplit

from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

from webui.errors import DamagedGguf, HubAnswerUnusable
from webui.library.gguf import GgufHeader, describe
from webui.library.gguf_file import parse_gguf_start
from webui.library.hub.answers import hub_errors

_STEPS = (1 << 20, 8 << 20, 24 << 20)  #: of most models 8 MB hold the vocabulary, of the largest 24
_PARTIAL_CONTENT = 206


def read_remote_header(url: str, name: str, size_bytes: int, token: str | None) -> GgufHeader:
    """Belongs in a thread. Raises HubError, NotGguf, DamagedGguf, UnsupportedModel."""
    data = b""
    for step in _STEPS:
        end = min(step, size_bytes)
        data += _get_range(url, name, range(len(data), end), token)
        try:
            return describe([parse_gguf_start(data, size_bytes, name)], name)
        except DamagedGguf:
            if step == _STEPS[-1] or end == size_bytes:
                raise
    raise DamagedGguf(name, "its header is impossibly long")


def _get_range(url: str, name: str, wanted: range, token: str | None) -> bytes:
    host = urlsplit(url).hostname or url
    headers = build_hf_headers(token=token or False) | {
        "Accept-Encoding": "identity",
        "Range": f"bytes={wanted.start}-{wanted.stop - 1}",
    }
    with hub_errors(host, name, has_token=token is not None):
        response = get_session().get(url, headers=headers)
        hf_raise_for_status(response)
    content = bytes(response.content)
    if response.status_code != _PARTIAL_CONTENT or len(content) != len(wanted):
        raise HubAnswerUnusable(host, "it does not give parts of files")
    return content
