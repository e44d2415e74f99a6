"""Chats that are there before the server starts, so that a test decides what "the model" wrote."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

from webui.store.conversations import ConversationStore
from webui.store.database import Database
from webui.store.preferences import Preferences
from webui.types import ChatMessage, ContextTrimmed, SamplingParams, Timings, Usage

RICH_ANSWER = """Look in the **middle**, see [the manual](https://example.com/bisect).

```python
def find(items, wanted):
    low, high = 0, len(items)  # a comment that is long enough to reach beyond the right edge of every phone there is
    return low
```

| Method | Best case | Average | Worst case | Sorted | Extra memory | Notes |
|---|--:|--:|--:|---|---|---|
| Linear search | 1 | n/2 | n | no | none | simple and honest |
| Binary search | 1 | log n | log n | yes | none | the dictionary trick |
"""

HOSTILE_ANSWER = """<img src=x onerror="window.harmed=1"> <script>window.harmed=1</script>

[one](javascript:window.harmed=1) [two](data:text/html;base64,PHNjcmlwdD4=) [three](  JaVaScRiPt:window.harmed=1)
![a picture](https://example.org/pixel.png "x\\" onerror=\\"window.harmed=1") <svg onload="window.harmed=1">

```html"><img src=x onerror=window.harmed=1>
<script>window.harmed = 1</script>
```

<a href="https://example.com" onclick="window.harmed=1">raw</a> <iframe src="https://example.org"></iframe>
"""

HOSTILE_QUESTION = '<img src=x onerror="window.harmed=1"><script>window.harmed=1</script> `${window.harmed=1}`'

CUT_ANSWER = "One day the keeper of the lighthouse saw a ship, and he"

LONG_ANSWER = "\n\n".join(f"Paragraph {number}. The lamp turns." for number in range(40))


async def seed(data_dir: Path) -> dict[str, str]:
    """Store the chats; returns title → id. Answers of the real model are kept short and always the same."""
    database = await Database.open(data_dir / "glasshouse.db")
    try:
        preferences = Preferences(database)
        await preferences.load()
        await preferences.set(sampling=SamplingParams(temperature=0.0, seed=1, max_tokens=360), ctx=2048)
        store = ConversationStore(database)
        return {
            "Rich": await _add_chat(store, "Rich", "Show me everything", RICH_ANSWER),
            "Hostile": await _add_chat(store, "Hostile <b>&amp;", HOSTILE_QUESTION, HOSTILE_ANSWER),
            "Long": await _add_chat(store, "Long", "Tell me of the lighthouse", LONG_ANSWER),
            "Reading": await _add_chat(store, "Reading", "Tell me of the lighthouse", LONG_ANSWER),  # tests write in it
            "Outgrown": await _add_chat(
                store,
                "Outgrown",
                "And then?",
                CUT_ANSWER,
                trimmed=ContextTrimmed(num_messages=4),
                finish_reason="length",
                read_ahead=64,
            ),
            "Spare": await _add_chat(store, "Spare", "Hello", "Hello."),
        }
    finally:
        await database.close()


async def _add_chat(store: ConversationStore, title: str, question: str, answer: str, **changes: Any) -> str:
    conversation = await store.create(title=title)
    asked = ChatMessage(
        id=f"{conversation.id}-1",
        conversation_id=conversation.id,
        parent_id=None,
        role="user",
        content=question,
        created_at=time.time(),
    )
    answered = ChatMessage(
        id=f"{conversation.id}-2",
        conversation_id=conversation.id,
        parent_id=asked.id,
        role="assistant",
        content=answer,
        created_at=time.time(),
        model_name="SmolLM2 135M Instruct",
        usage=Usage(prompt_tokens=400, cached_tokens=312, completion_tokens=112),
        timings=Timings(queued_seconds=0.0, first_token_seconds=0.041, total_seconds=1.0, tokens_per_second=158.2),
    )
    await store.add_message(asked)
    await store.add_message(msgspec.structs.replace(answered, **changes))
    return conversation.id
