"""`options` of Ollama's requests, which are `parameters` where a model is made.

Options of loading (`num_ctx`, `num_gpu`, …) are taken without effect: how a model is loaded is for its defaults and
this machine's memory to say.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import structs
from pydantic import ConfigDict, Field

from webui.api.errors import UnsupportedParameter
from webui.api.openai.sampling import LARGEST_COUNT, SamplingFields
from webui.types import SamplingParams

_OF_LOADING = frozenset(
    {
        "num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap", "use_mlock", "low_vram", "numa",
        "f16_kv", "logits_all", "vocab_only", "embedding_only", "num_keep", "penalize_newline", "tfs_z",
        "rope_frequency_base", "rope_frequency_scale",
    }
)  # fmt: skip


class Options(SamplingFields):
    """`options` of a request: ours and llama.cpp's samplers under the names that both have."""

    model_config = ConfigDict(extra="allow")

    num_predict: Annotated[int, Field(ge=-2, le=LARGEST_COUNT)] | None = Field(
        None, description="Tokens of the answer; below 1: as far as the context reaches"
    )

    def refuse_unknown(self) -> None:
        for name, value in (self.model_extra or {}).items():
            if value is not None and name not in _OF_LOADING:
                raise UnsupportedParameter(f"options.{name}", f"The option “{name}” is not known here. Leave it out.")

    def to_params(self, defaults: SamplingParams | None) -> SamplingParams:
        params = self.to_sampling(defaults)
        if self.num_predict is None:
            return params
        return structs.replace(params, max_tokens=self.num_predict if self.num_predict > 0 else None)
