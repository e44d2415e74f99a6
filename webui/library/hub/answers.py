"""What huggingface-hub raises, as our errors. Nothing is decided by an error's text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub.errors import (
    DisabledRepoError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from webui.errors import HubAnswerUnusable, HubDenied, HubError, HubNotFound, HubOffline

_NOT_FOUND = {
    RevisionNotFoundError: "the repository has no such branch, tag or commit.",
    EntryNotFoundError: "the repository has no such file (any more).",
    DisabledRepoError: "the hub has taken it down.",
}


@contextmanager
def hub_errors(host: str, name: str, *, has_token: bool) -> Iterator[None]:
    """Ask the hub about `name` inside this block; it raises HubError only (and what is nobody's fault but ours).

    An answer of another form than expected makes huggingface-hub stumble in many ways, which are all one to a person.
    """
    try:
        yield
    except HubError:
        raise
    except HfHubHTTPError as error:
        raise explain_status(error, host, name, has_token=has_token) from error
    except OfflineModeIsEnabled as error:
        raise HubOffline(host) from error
    except HFValidationError as error:
        raise HubNotFound(name, "the hub has no repositories of such names.") from error
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise HubAnswerUnusable(host, type(error).__name__) from error


def explain_status(error: HfHubHTTPError, host: str, name: str, *, has_token: bool) -> HubError:
    """The hub answers 401 for what is private, gated or missing when nobody signed in."""
    status = error.response.status_code
    if isinstance(error, GatedRepoError):
        return HubDenied(name, has_token, is_gated=True)
    for kind, reason in _NOT_FOUND.items():
        if isinstance(error, kind):
            return HubNotFound(name, reason)
    if isinstance(error, RepositoryNotFoundError) and (has_token or status == 404):
        return HubNotFound(name, "there is no such repository, or the access token does not open it.")
    if status in {401, 403}:
        return HubDenied(name, has_token)
    if status in {404, 410}:
        return HubNotFound(name, "there is nothing at this address (any more).")
    return HubAnswerUnusable(host, f"status {status}")
