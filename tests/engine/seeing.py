"""What llama.cpp's own helper makes of a prompt with images, in a context where nothing else was ever read."""

from __future__ import annotations

import ctypes
import io
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import PIL.Image
from llama_cpp import mtmd_cpp

from tests.engine.test_llama_memory import Bench, Logits
from tests.engine.tiny_models import NUM_TOKENS
from webui.engine.pictures import decode_picture
from webui.types import Image


def picture(seed: int, *, size: tuple[int, int] = (80, 64), form: str = "PNG") -> bytes:
    """A picture of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, form)
    return file.getvalue()


class Reference:
    """mtmd over a model of its own."""

    def __init__(self, model: Path, projector: Path) -> None:
        self.bench = Bench(model, "separate", num_slots=1, context_tokens=1024, batch_tokens=256)
        params = mtmd_cpp.mtmd_context_params_default()
        params.use_gpu, params.n_threads, params.print_timings = False, 1, False
        self._mtmd = mtmd_cpp.mtmd_init_from_file(str(projector).encode(), self.bench.model, params)
        assert self._mtmd

    def read(self, pieces: tuple[str | Image, ...]) -> tuple[Logits, int, int]:
        """The logits behind the prompt, how many tokens it has, and how many places these take."""
        self.bench.memory.clear(0)
        marker = mtmd_cpp.mtmd_default_marker()
        text = b"".join(piece.encode() if isinstance(piece, str) else marker for piece in pieces)
        bitmaps = [_bitmap(piece.data) for piece in pieces if isinstance(piece, Image)]
        chunks, end = mtmd_cpp.mtmd_input_chunks_init(), llama_cpp.llama_pos()
        asked = mtmd_cpp.mtmd_input_text(text, len(text), False, True)
        array = (ctypes.c_void_p * len(bitmaps))(*bitmaps)
        assert mtmd_cpp.mtmd_tokenize(self._mtmd, chunks, ctypes.byref(asked), array, len(bitmaps)) == 0
        context = self.bench.context
        status = mtmd_cpp.mtmd_helper_eval_chunks(self._mtmd, context, chunks, 0, 0, 256, True, ctypes.byref(end))
        assert status == 0
        num_tokens = mtmd_cpp.mtmd_helper_get_n_tokens(chunks)
        mtmd_cpp.mtmd_input_chunks_free(chunks)
        for bitmap in bitmaps:
            mtmd_cpp.mtmd_bitmap_free(bitmap)
        logits = llama_cpp.llama_get_logits_ith(context, -1)
        return np.ctypeslib.as_array(logits, (NUM_TOKENS,)).copy(), num_tokens, end.value

    def go_on(self, token: int, place: int) -> Logits:
        """The logits behind one more token."""
        return self.bench.read(0, [0] * place + [token], place)

    def close(self) -> None:
        mtmd_cpp.mtmd_free(self._mtmd)
        self.bench.close()


def _bitmap(data: bytes) -> Any:
    decoded = decode_picture(data)
    pixels = (ctypes.c_uint8 * len(decoded.pixels)).from_buffer_copy(decoded.pixels)
    return mtmd_cpp.mtmd_bitmap_init(decoded.width, decoded.height, pixels)
