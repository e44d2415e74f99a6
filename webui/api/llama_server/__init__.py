"""The dialect of llama.cpp's server: raw texts that go on, gaps that are filled, looks at tokens, templates and slots.

A body's `model` names the model; without one the page's answers.
"""

from __future__ import annotations

from fastapi import APIRouter

from webui.api.llama_server import aliases, completion, infill, models, props, tokens

router = APIRouter(tags=["llama.cpp"])
for _module in (completion, infill, tokens, props, models, aliases):
    router.include_router(_module.router)
