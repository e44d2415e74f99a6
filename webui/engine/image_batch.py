"""Decodes rows of an image: a llama.cpp batch of embeddings in place of tokens.

llama.cpp takes tokens or embeddings in one batch, never both. Where an image's rows see each other in both directions,
causal attention is switched off for that batch, which must then hold nothing else. It does not know pictures.
"""

from __future__ import annotations

import ctypes

import llama_cpp
import numpy as np

from webui.engine.chunk import Chunk
from webui.engine.image_span import ImagePart
from webui.engine.projector import Projector


class ImageBatch:
    """Room for `capacity` rows, used again and again."""

    def __init__(self, context: llama_cpp.llama_context_p, capacity: int, projector: Projector) -> None:
        self._context = context
        self._projector = projector
        self._batch = llama_cpp.llama_batch_init(capacity, projector.width, 1)
        self._places = (llama_cpp.llama_pos * (4 * capacity))()  # of four dimensions, one behind the other
        self._batch.pos = ctypes.cast(self._places, ctypes.POINTER(llama_cpp.llama_pos))

    def decode(self, chunk: Chunk) -> int:
        """Compute the chunk, which is one of an image's. Returns llama.cpp's status."""
        if chunk.image is None:
            raise ValueError("a chunk of tokens")
        part, offset = chunk.image.part, chunk.start - chunk.image.start
        batch = self._batch
        rows = np.ascontiguousarray(self._projector.rows(part)[offset : offset + chunk.count], np.float32)
        ctypes.memmove(batch.embd, rows.ctypes.data, rows.nbytes)
        self._set_places(chunk, part, offset)
        for row in range(chunk.count):
            batch.n_seq_id[row] = 1
            batch.seq_id[row][0] = chunk.slot
            batch.logits[row] = bool(chunk.num_outputs) and row == chunk.count - 1
        batch.n_tokens = chunk.count
        if not part.is_whole:
            return int(llama_cpp.llama_decode(self._context, batch))
        llama_cpp.llama_set_causal_attn(self._context, False)
        try:
            return int(llama_cpp.llama_decode(self._context, batch))
        finally:
            llama_cpp.llama_set_causal_attn(self._context, True)

    def _set_places(self, chunk: Chunk, part: ImagePart, offset: int) -> None:
        first = chunk.sequence.place(chunk.start - offset)
        places = np.ctypeslib.as_array(self._places)
        if part.places is None:
            places[: chunk.count] = np.arange(first + offset, first + offset + chunk.count)
        else:
            behind = np.array([[first], [first], [first], [0]], np.int32)  # the fourth dimension counts from nowhere
            places[: 4 * chunk.count] = (part.places[:, offset : offset + chunk.count] + behind).reshape(-1)
