"""Signing in and out, once for each browser: with the passphrase, or with the pairing token of a shared QR code."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, RedirectResponse
from pydantic import BaseModel, Field, model_validator

from webui.api.dependencies import App
from webui.api.door.hosts import is_local_path
from webui.api.door.session_cookie import SESSION_COOKIE, read_session, set_session
from webui.assets import STATIC_DIR

PATH = "/api/session"

router = APIRouter(tags=["Sign-in"])


class SignIn(BaseModel):
    passphrase: str | None = Field(None, max_length=1024)
    pairing: str | None = Field(None, max_length=1024, description="The token of a pairing link; good for one use")
    next: str = Field("/", description="Where to go afterwards: a path on this server")

    @model_validator(mode="after")
    def _one_of_both(self) -> SignIn:
        if (self.passphrase is None) == (self.pairing is None):
            raise ValueError("send either a passphrase or a pairing token")
        return self


class SignedIn(BaseModel):
    next: str


@router.head("/signin", include_in_schema=False)
@router.get("/signin", include_in_schema=False)
async def show_sign_in(request: Request, application: App, next: str = "/") -> Response:  # noqa: A002  # the query's name
    """The light sign-in page; who needs no sign-in goes on to where they wanted to go."""
    if not is_local_path(next):
        return RedirectResponse("/signin", status_code=303)
    if not request.state.owner.startswith("address "):
        return RedirectResponse(next, status_code=303)
    return FileResponse(STATIC_DIR / "signin.html", headers={"Cache-Control": "no-store"})


@router.post(PATH, status_code=201, summary="Sign in")
async def sign_in(body: SignIn, request: Request, response: Response, application: App) -> SignedIn:
    """Sets the session cookie. Attempts from one address are limited."""
    address = request.client.host if request.client else ""
    label = request.headers.get("user-agent", "")[:200]
    if body.pairing is not None:
        token = await application.access.redeem_pairing(body.pairing, address, label)
    else:
        token = await application.access.sign_in(body.passphrase or "", address, label)
    set_session(response, token, scheme=request.url.scheme)
    return SignedIn(next=body.next if is_local_path(body.next) else "/")


@router.delete(PATH, status_code=204, summary="Sign out")
async def sign_out(request: Request, response: Response, application: App) -> None:
    if token := read_session(request.headers):
        await application.access.sign_out(token)
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="lax")
