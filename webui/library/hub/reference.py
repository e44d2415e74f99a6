"""What people write for a model that is elsewhere: `org/repo`, `org/repo:Q4_K_M`, a page of the hub, a link to a file.

Text only: whether the model is there is the hub's to say.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import NoReturn
from urllib.parse import SplitResult, unquote, urlsplit

from webui.errors import InvalidFileName, InvalidReference
from webui.library.part_file import checked_file_name
from webui.types import Value

_HUB_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
_REPO_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"  # the hub's own rule, without its rarer corners
_REPO = re.compile(rf"{_REPO_PART}/{_REPO_PART}")
_VARIANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MAX_LENGTH = 2000
_NOT_MODELS = frozenset({"datasets", "spaces", "kernels", "buckets", "models", "docs", "api", "settings", "papers"})


class HubReference(Value, frozen=True):
    """A repository of the hub, and which of its files: a variant by its label, one file by its path, or neither (the
    sensible default)."""

    repo: str  #: "bartowski/SmolLM2-135M-Instruct-GGUF"
    variant: str | None = None  #: "Q4_K_M"
    file: str | None = None  #: path inside the repository
    revision: str = "main"  #: a branch, a tag or a commit

    def __str__(self) -> str:
        at = "" if self.revision == "main" else f"@{self.revision}"
        if self.file is not None:
            return f"{self.repo}{at}/{self.file}"
        return f"{self.repo}{at}" + (f":{self.variant}" if self.variant else "")


class UrlReference(Value, frozen=True):
    """A GGUF file at any address. `name` is the file's name here."""

    url: str
    name: str

    def __str__(self) -> str:
        """Without what may be a secret: user, password and query."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


Reference = HubReference | UrlReference


def parse_reference(text: str) -> Reference:
    """Raises InvalidReference with what is wrong with it."""
    text = text.strip().strip("\"'<>").strip()
    if not text or len(text) > _MAX_LENGTH or not text.isprintable():
        _refuse(text, "write the name of a repository (org/name) or the address of a GGUF file.")
    if text.startswith(("/", "~", ".")) or "\\" in text:
        _refuse(text, "that is a file on this machine. Put it into the models folder, or import it in the page.")
    scheme, separator, rest = text.partition("://")
    if separator and scheme.lower() == "hf":
        return _parse_repo(text, rest)
    if not separator:
        host, _, path = text.partition("/")
        if host.lower() in _HUB_HOSTS:
            return _parse_repo(text, path)
        return _parse_repo(text, text)
    return _parse_url(text)


def _parse_url(text: str) -> Reference:
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        _refuse(text, "that is not a complete address.")
    if host.lower() in _HUB_HOSTS and parts.scheme.lower() in {"http", "https"}:
        return _parse_hub_page(text, parts)
    if not host:
        _refuse(text, "that is not a complete address.")
    if parts.scheme.lower() != "https" and not (parts.scheme.lower() == "http" and _is_loopback(host)):
        _refuse(text, "only https addresses are taken, so that nobody on the way can change the file.")
    name = unquote(parts.path).rpartition("/")[2]
    if not name.lower().endswith(".gguf"):
        _refuse(text, "the address does not lead to a GGUF file (its path must end in .gguf).")
    try:
        return UrlReference(url=parts._replace(fragment="").geturl(), name=checked_file_name(name))
    except InvalidFileName as error:
        _refuse(text, error.message)


def _parse_hub_page(text: str, parts: SplitResult) -> HubReference:
    """Links that one copies from the hub's pages: /org/repo, /org/repo/tree/main, /org/repo/resolve/main/file.gguf."""
    pieces = [unquote(piece) for piece in parts.path.split("/") if piece]
    if len(pieces) <= 2:
        return _parse_repo(text, "/".join(pieces))
    org, repo, page, *rest = pieces
    repo_name = _checked_repo(text, f"{org}/{repo}")
    if page == "tree" and rest:
        return HubReference(repo=repo_name, revision=_checked_revision(text, rest[0]))
    if page in {"resolve", "blob", "raw"} and len(rest) >= 2:
        file = _checked_file(text, "/".join(rest[1:]))
        return HubReference(repo=repo_name, file=file, revision=_checked_revision(text, rest[0]))
    return _refuse(text, "copy the address of the repository, or of one of its GGUF files.")


def _parse_repo(text: str, path: str) -> HubReference:
    """`org/repo`, then perhaps `@revision`, then `:variant` or `/file.gguf`."""
    pieces = path.strip("/").split("/")
    if len(pieces) < 2:
        _refuse(text, "a repository has the form org/name, such as Qwen/Qwen2.5-0.5B-Instruct-GGUF.")
    org, named, *rest = pieces
    named, _, variant = named.partition(":")
    name, at, revision = named.partition("@")
    repo = _checked_repo(text, f"{org}/{name}")
    revision = _checked_revision(text, revision) if at else "main"
    if rest:
        return HubReference(repo=repo, file=_checked_file(text, "/".join(rest)), revision=revision)
    if ":" in pieces[1] and not _VARIANT.fullmatch(variant):
        _refuse(text, "after the colon comes a quantization, such as Q4_K_M.")
    return HubReference(repo=repo, variant=variant or None, revision=revision)


def _checked_repo(text: str, repo: str) -> str:
    if not _REPO.fullmatch(repo) or repo.partition("/")[0] in _NOT_MODELS or "--" in repo or ".." in repo:
        _refuse(text, "a repository has the form org/name, such as Qwen/Qwen2.5-0.5B-Instruct-GGUF.")
    return repo


def _checked_revision(text: str, revision: str) -> str:
    if not _REVISION.fullmatch(revision) or ".." in revision:
        _refuse(text, f"“{revision}” is no branch, tag or commit.")
    return revision


def _checked_file(text: str, path: str) -> str:
    if not is_safe_path(path) or not path.lower().endswith(".gguf"):
        _refuse(text, "it does not name a GGUF file.")
    return path


def is_safe_path(path: str) -> bool:
    """Whether every part of a repository's path can be a file's or folder's name on any machine."""
    *folders, name = path.split("/")
    try:
        checked_file_name(name)
        for folder in folders:
            checked_file_name(f"{folder}.gguf")
    except InvalidFileName:
        return False
    return len(path) <= 500


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _refuse(text: str, reason: str) -> NoReturn:
    printable = "".join(each for each in text if each.isprintable())[:200]
    raise InvalidReference(printable, reason)
