"""Glasshouse's own routes for what people manage: models, downloads, imports, jobs, the doctor, conversations."""

from __future__ import annotations

from fastapi import APIRouter

from webui.api.manage import compare, connect, conversations, doctor, fit, hub, jobs, keys, models, stores, uploads

router = APIRouter()
for _module in (uploads, models, fit, hub, stores, jobs, doctor, compare, conversations, connect, keys):
    router.include_router(_module.router)
