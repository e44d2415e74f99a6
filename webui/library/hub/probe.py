"""What the server behind a link to a file says of it before it is fetched."""

from __future__ import annotations

from urllib.parse import urlsplit

from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

from webui.errors import HubAnswerUnusable
from webui.library.hub.answers import hub_errors
from webui.library.hub.reference import UrlReference
from webui.library.hub.session import use_hub_sessions

_MAX_FILE_BYTES = 1 << 42


def probe_url(reference: UrlReference) -> tuple[int | None, str | None]:
    """Size in bytes and a strong ETag, as far as the server tells. Belongs in a thread; raises HubError."""
    host = urlsplit(reference.url).hostname or reference.url
    use_hub_sessions()
    with hub_errors(host, reference.name, has_token=False):
        headers = build_hf_headers(token=False) | {"Accept-Encoding": "identity"}
        response = get_session().head(reference.url, headers=headers)
        if response.status_code in {405, 501}:  # a server that knows no HEAD
            return None, None
        hf_raise_for_status(response)
    length, etag = response.headers.get("Content-Length", ""), response.headers.get("ETag")
    size = int(length) if length.isascii() and length.isdigit() else None
    if size is not None and not 0 < size <= _MAX_FILE_BYTES:
        raise HubAnswerUnusable(host, f"a file of {size} bytes")
    return size, etag if etag and not etag.startswith("W/") else None
