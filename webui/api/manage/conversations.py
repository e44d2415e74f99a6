"""Conversations over HTTP: what does not fit through the page's socket, which are long messages and pictures."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from webui.api.dependencies import App, Owner
from webui.api.images import media_type, read_base64

MAX_IMAGES = 8  #: of one message
_HEADERS = {
    "cache-control": "private, max-age=31536000, immutable",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'",
}

router = APIRouter(prefix="/api/conversations", tags=["Conversations"])


class MessageRequest(BaseModel):
    text: str = Field("", description="What the person says; may be empty beside pictures")
    images: Annotated[list[str], Field(max_length=MAX_IMAGES)] = Field(
        [], description="Pictures for models that see: data URLs or base64"
    )


class MessageAccepted(BaseModel):
    id: str = Field(description="The stored message")
    conversation_id: str


@router.post("/{conversation_id}/messages", status_code=202, summary="Say something in a chat")
async def send_message(conversation_id: str, body: MessageRequest, application: App, owner: Owner) -> MessageAccepted:
    """Stores the message and starts the reply, which belongs to the chat: it goes on when this connection ends."""
    images = [read_base64(each, f"images.{index}") for index, each in enumerate(body.images)]
    message = await application.chats.send(conversation_id, body.text, images=images, owner=owner)
    return MessageAccepted(id=message.id, conversation_id=conversation_id)


@router.get("/{conversation_id}/images/{image_id}", summary="A picture of a chat", response_class=Response)
async def get_image(conversation_id: str, image_id: str, application: App) -> Response:
    """As it was sent."""
    data = await application.chats.image(conversation_id, image_id)
    return Response(data, media_type=media_type(data), headers=_HEADERS)
