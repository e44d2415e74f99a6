"""Conversations over HTTP: for now only sending a message, for a long one does not fit through the page's socket."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from webui.api.dependencies import App, Owner

router = APIRouter(prefix="/api/conversations", tags=["Conversations"])


class MessageRequest(BaseModel):
    text: str = Field(description="What the person says")


class MessageAccepted(BaseModel):
    id: str = Field(description="The stored message")
    conversation_id: str


@router.post("/{conversation_id}/messages", status_code=202, summary="Say something in a chat")
async def send_message(conversation_id: str, body: MessageRequest, application: App, owner: Owner) -> MessageAccepted:
    """Stores the message and starts the reply, which belongs to the chat: it goes on when this connection ends."""
    message = await application.chats.send(conversation_id, body.text, owner=owner)
    return MessageAccepted(id=message.id, conversation_id=conversation_id)
