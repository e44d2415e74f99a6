"""Shell completion of model names: from the running server, at once or not at all. It opens no Application."""

from __future__ import annotations

import httpx


def complete_model(incomplete: str) -> list[str]:
    """Ids and presets that begin so. Whatever goes wrong, a shell that completes must not see it."""
    from webui.cli.options import read_settings  # noqa: PLC0415
    from webui.core.running_server import read_running_server  # noqa: PLC0415

    try:
        server = read_running_server(read_settings({}).data_dir)
        if server is None:
            return []
        headers = {"Authorization": f"Bearer {server.key}"} if server.key else {}
        with httpx.Client(base_url=server.url, headers=headers, timeout=1.0, trust_env=False) as client:
            models = [str(model["id"]) for model in client.get("/manage/models").json()]
            presets = [str(preset["name"]) for preset in client.get("/manage/named-presets").json()]
    except Exception:  # noqa: BLE001
        return []
    return [name for name in (*presets, *models) if name.casefold().startswith(incomplete.casefold())]
