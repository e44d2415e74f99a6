"""API keys for programs: made here, shown once, revoked here. Needs the scope `admin`, or no key at all (a person)."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from webui.api.dependencies import App
from webui.store.keys import ApiKey, KeyLimits, KeyScope

router = APIRouter(prefix="/manage/keys", tags=["Keys"])


class Limits(BaseModel):
    """What a key may ask; null: as much as it likes."""

    model_config = ConfigDict(extra="forbid")

    requests_per_minute: int | None = Field(default=None, ge=1, le=10**9)
    tokens_per_minute: int | None = Field(default=None, ge=1, le=10**9, description="Of prompts and answers together")
    concurrent_requests: int | None = Field(default=None, ge=1, le=10**9, description="Answers at once")


class NewKey(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="Which program it is for", examples=["Editor on the laptop"])
    scopes: list[KeyScope] = Field(
        ["inference"],
        description="inference: ask models. models: load, download and delete them. admin: everything, keys and chats "
        "included",
    )
    limits: Limits = Limits()
    expires_days: float | None = Field(None, gt=0, le=3650, description="Days until it ends; default: never")


class Usage(BaseModel):
    num_requests: int
    prompt_tokens: int
    generated_tokens: int
    used_at: float | None = Field(description="Unix seconds; null: never")


class Key(BaseModel):
    id: str = Field(description="By which logs and figures call it")
    name: str
    hint: str = Field(description="Its beginning and end")
    scopes: list[KeyScope]
    limits: Limits
    created_at: float = Field(description="Unix seconds")
    expires_at: float | None = Field(description="Unix seconds; null: never")
    is_expired: bool
    usage: Usage

    @classmethod
    def of(cls, key: ApiKey) -> Key:
        return cls.model_validate(msgspec.to_builtins(key) | {"is_expired": key.is_expired()})


class MadeKey(Key):
    key: str = Field(description="The key itself; it is in no later answer")


@router.get("", summary="All API keys")
async def list_keys(application: App) -> list[Key]:
    """With what each has used. The keys themselves are not kept, only their hashes."""
    return [Key.of(key) for key in application.keys.all()]


@router.post("", status_code=201, summary="Make an API key")
async def create_key(body: NewKey, application: App) -> MadeKey:
    """The answer is the only place where the key stands."""
    limits = KeyLimits(**body.limits.model_dump())
    made, token = await application.keys.create(body.name, body.scopes, limits=limits, expires_days=body.expires_days)
    return MadeKey(**Key.of(made).model_dump(), key=token)


@router.get("/{key_id}", summary="One API key")
async def get_key(key_id: str, application: App) -> Key:
    return Key.of(application.keys.get(key_id))


@router.delete("/{key_id}", status_code=204, summary="Revoke an API key")
async def revoke_key(key_id: str, application: App) -> None:
    """At once: what runs under it ends, and nothing is asked with it any more."""
    await application.keys.revoke(key_id)
