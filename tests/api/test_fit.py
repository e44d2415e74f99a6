"""The sliders of the page, over HTTP."""

from __future__ import annotations

import httpx

PLACE = "/manage/models/SmolLM2-135M-Instruct.Q4_1/fit"


async def test_a_plan_for_any_position_of_the_sliders(client: httpx.AsyncClient) -> None:
    usual = (await client.get(PLACE)).json()
    assert usual["fits"]
    assert (usual["context_tokens"], usual["largest_context"]) == (8192, 8192)
    assert usual["kv_types"] == ["f16", "q8_0", "q4_0"]
    asked = (await client.get(PLACE, params={"ctx": 2048, "kv_type": "q4_0", "gpu_layers": 0})).json()
    assert (asked["context_tokens"], asked["kv_type"], asked["gpu_layers"]) == (2048, "q4_0", 0)
    small, large = asked["devices"][0], usual["devices"][0]
    assert small["name"] == "RAM"
    assert small["kv_bytes"] < large["kv_bytes"]
    assert small["needed_bytes"] == sum(small[f"{part}_bytes"] for part in ("weights", "kv", "compute", "other"))


async def test_what_cannot_be_asked_for_is_refused_in_words(client: httpx.AsyncClient) -> None:
    assert (await client.get("/manage/models/nobody/fit")).status_code == 404
    for wrong in ({"ctx": 1}, {"gpu_layers": -2}, {"kv_type": "f64"}):
        response = await client.get(PLACE, params=wrong)
        assert response.status_code in {400, 422}
        assert response.json()["error"]["message"]
