"""From a reference to the record of a download: what the hub says that it is, and what of it is here already.

It writes nothing.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path

from webui.errors import AlreadyHere, FileExists
from webui.library.hub.client import HubClient
from webui.library.hub.job_folder import JobFile, JobRecord
from webui.library.hub.origin import is_unchanged, read_origin
from webui.library.hub.probe import probe_url
from webui.library.hub.reference import HubReference, Reference, UrlReference
from webui.library.hub.values import HubFile


async def plan_download(reference: Reference, client: HubClient, models_dir: Path) -> JobRecord:
    """Raises HubError, AlreadyHere, and FileExists for a file of the same name that came from elsewhere."""
    if isinstance(reference, UrlReference):
        return await _plan_url(reference, models_dir)
    return await _plan_repo(reference, client, models_dir)


async def _plan_repo(reference: HubReference, client: HubClient, models_dir: Path) -> JobRecord:
    repo, variant = await client.resolve(reference)
    wanted = [*variant.files, *([variant.mmproj] if variant.mmproj else [])]
    title = f"{repo.repo.rpartition('/')[2]} {variant.label}"
    missing, replaces = await asyncio.to_thread(_look_here, models_dir, repo.repo, wanted)
    if not missing:
        raise AlreadyHere(title)
    return JobRecord(
        id=secrets.token_urlsafe(9),
        reference=str(HubReference(repo=repo.repo, variant=variant.label, revision=reference.revision)),
        title=title,
        files=tuple(
            JobFile(target=f"{repo.repo}/{file.path}", size_bytes=file.size_bytes, sha256=file.sha256, path=file.path)
            for file in missing
        ),
        created_at=time.time(),
        repo=repo.repo,
        revision=reference.revision,
        commit=repo.commit,
        label=variant.label,
        replaces=replaces,
    )


def _look_here(models_dir: Path, repo: str, wanted: list[HubFile]) -> tuple[list[HubFile], bool]:
    """The files that are not here as the hub has them now, and whether an older version of one is."""
    missing, replaces = [], False
    for file in wanted:
        target = models_dir / repo / file.path
        if target.exists():
            origin = read_origin(target)
            if origin is None or origin.repo != repo or not is_unchanged(target, origin):
                raise FileExists(f"{repo}/{file.path}")
            if origin.sha256 == file.sha256:
                continue
            replaces = True
        missing.append(file)
    return missing, replaces


async def _plan_url(reference: UrlReference, models_dir: Path) -> JobRecord:
    if await asyncio.to_thread((models_dir / reference.name).exists):
        raise AlreadyHere(reference.name)
    size_bytes, etag = await asyncio.to_thread(probe_url, reference)
    return JobRecord(
        id=secrets.token_urlsafe(9),
        reference=str(reference),
        title=reference.name,
        files=(JobFile(target=reference.name, size_bytes=size_bytes, url=reference.url, etag=etag),),
        created_at=time.time(),
    )
