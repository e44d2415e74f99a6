"""The projector: what a model sees images through, an mmproj file that llama.cpp's mtmd loads beside it.

It turns an image into what stands for it in a prompt: tokens of the model's own that mark it, and rows of numbers in
place of tokens. Rows are kept for a while, since a chat sends its images again with every turn. It does not know
prompts.
"""

from __future__ import annotations

import ctypes
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import llama_cpp
import numpy as np
from llama_cpp import mtmd_cpp
from numpy.typing import NDArray

from webui.engine.bytes_cache import BytesCache
from webui.engine.image_span import ImagePart, image_ids
from webui.engine.pictures import Picture, decode_picture
from webui.engine.state_key import file_identity
from webui.engine.vision import NoVision
from webui.errors import ContextTooLong, ImagesNotSupported, InvalidRequest
from webui.types import EngineOptions, Image

Rows = NDArray[np.float32]
Look = tuple[list[int] | ImagePart, ...]

ROWS_BYTES = 64 << 20  #: some dozens of images; counted in the plan of a load (library.projector_fit)
LOOKS_BYTES = 32 << 20
_ELSEWHERE = 1000  #: a place in a prompt


class Projector:
    """Satisfies `Vision`. Create it with `load_vision`."""

    def __init__(self, context: Any, options: EngineOptions, *, width: int, num_vocab: int, identity: bytes) -> None:
        """`width`: numbers of a row; `num_vocab`: tokens that the model knows; `options`: for the sizes of steps and
        contexts."""
        self._context = context
        self._options = options
        self._num_vocab = num_vocab
        self.width = width
        self._identity = identity
        self._lock = threading.Lock()  # of everything that mtmd computes
        self._looks = BytesCache[Look](LOOKS_BYTES)
        self._rows = BytesCache[Rows](ROWS_BYTES)
        self._living: WeakValueDictionary[bytes, Rows] = WeakValueDictionary()  # that somebody keeps
        self._latest: Rows | None = None  # an image may be computed in several steps

    def look(self, image: Image) -> Look:
        """What stands for the image in a prompt, in order. Raises InvalidRequest for one that cannot be read."""
        key = self._key(image)
        known = self._looks.get(key)
        if known is None:
            known = self._look(key, image.data)
            self._looks.put(key, known, len(image.data))
        return known

    def known_count(self, image: Image) -> int | None:
        """How many tokens stand for the image; None while nobody has looked at it."""
        known = self._looks.get(self._key(image))
        return None if known is None else sum(len(each) if isinstance(each, list) else each.count for each in known)

    def keep(self, image: Image) -> list[Rows]:
        """Holds on to the image's rows, as far as they are there, as long as the list lives."""
        known = self._looks.get(self._key(image)) or ()
        found = (self._living.get(each.key) for each in known if isinstance(each, ImagePart))
        return [rows for rows in found if rows is not None]

    def rows(self, part: ImagePart) -> Rows:
        """The part's rows, one for each of its ids."""
        rows = self._rows.get(part.key)
        if rows is None:
            rows = self._living.get(part.key)
        if rows is None:
            made = (each for each in self._encode(part.key[:-4], part.source) if isinstance(each, tuple))
            rows = {other.key: its_rows for other, its_rows in made}[part.key]
        self._latest = rows
        return rows

    def _key(self, image: Image) -> bytes:
        return hashlib.blake2b(image.data, key=self._identity, digest_size=32).digest()

    def _look(self, key: bytes, data: bytes) -> Look:
        return tuple(each if isinstance(each, list) else each[0] for each in self._encode(key, data))

    def _encode(self, key: bytes, data: bytes) -> Iterator[list[int] | tuple[ImagePart, Rows]]:
        """Everything that the image becomes; its rows are kept on the way."""
        with self._lock, self._chunks(decode_picture(data)) as chunks:
            for index in range(mtmd_cpp.mtmd_input_chunks_size(chunks)):
                chunk = mtmd_cpp.mtmd_input_chunks_get(chunks, index)
                if mtmd_cpp.mtmd_input_chunk_get_type(chunk) == mtmd_cpp.MTMD_INPUT_CHUNK_TYPE_TEXT:
                    yield self._text_of(chunk)
                    continue
                part_key = key + index.to_bytes(4, "big")
                ids = image_ids(part_key, mtmd_cpp.mtmd_input_chunk_get_n_tokens(chunk))
                is_whole = bool(mtmd_cpp.mtmd_decode_use_non_causal(self._context, chunk))
                places = _places_of(chunk) if mtmd_cpp.mtmd_decode_use_mrope(self._context) else None
                num_places = mtmd_cpp.mtmd_input_chunk_get_n_pos(chunk)
                part = ImagePart(part_key, ids, is_whole, data, num_places, places)
                self._check_size(part)
                rows = self._rows_of(chunk)
                self._living[part_key] = rows
                self._rows.put(part_key, rows, rows.nbytes)
                yield part, rows

    def _text_of(self, chunk: Any) -> list[int]:
        """Raises ImagesNotSupported where the model lacks the tokens that its projector marks images with."""
        count = ctypes.c_size_t()
        tokens = mtmd_cpp.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(count))
        marks = list(tokens[: count.value])
        if not all(0 <= mark < self._num_vocab for mark in marks):
            raise ImagesNotSupported("Its vocabulary lacks the marks that its projector puts around an image.")
        return marks

    def _check_size(self, part: ImagePart) -> None:
        """Before it is computed. Raises ContextTooLong, and InvalidRequest where a step has no room for it."""
        if part.count >= self._options.context_tokens:
            raise ContextTooLong(part.count, self._options.context_tokens)
        if part.is_whole and part.count > self._options.batch_tokens:
            raise InvalidRequest(
                f"This model looks at an image in one piece of {part.count} tokens, and a step of its engine has "
                f"{self._options.batch_tokens}. Send a smaller image."
            )

    def _rows_of(self, chunk: Any) -> Rows:
        if mtmd_cpp.mtmd_encode_chunk(self._context, chunk) != 0:
            raise InvalidRequest("The image could not be computed. The engine's log says why.")
        shape = (mtmd_cpp.mtmd_input_chunk_get_n_tokens(chunk), self.width)
        return np.ctypeslib.as_array(mtmd_cpp.mtmd_get_output_embd(self._context), shape).copy()

    @contextmanager
    def _chunks(self, picture: Picture) -> Iterator[Any]:
        """mtmd's chunks of a picture that stands alone; where it stands makes no difference."""
        pixels = ctypes.cast(ctypes.c_char_p(picture.pixels), ctypes.POINTER(ctypes.c_uint8))
        bitmap = mtmd_cpp.mtmd_bitmap_init(picture.width, picture.height, pixels)
        chunks = mtmd_cpp.mtmd_input_chunks_init()
        part = mtmd_cpp.mtmd_input_part(None, bitmap)
        parts = (ctypes.POINTER(mtmd_cpp.mtmd_input_part) * 1)(ctypes.pointer(part))
        try:
            if mtmd_cpp.mtmd_tokenize_from_parts(self._context, chunks, parts, 1, False) != 0:
                raise InvalidRequest("The model's projector does not take this image. Send another size or format.")
            yield chunks
        finally:
            mtmd_cpp.mtmd_input_chunks_free(chunks)
            mtmd_cpp.mtmd_bitmap_free(bitmap)


def load_vision(model: llama_cpp.llama_model_p, options: EngineOptions, log: Any) -> Projector | NoVision:
    """Load the projector of `options` for a model that is loaded; a model with one that is of no use is as good as
    blind. `log`: llama.cpp's log callback."""
    if options.mmproj_path is None:
        return NoVision()
    mtmd_cpp.mtmd_helper_log_set(log, None)
    params = mtmd_cpp.mtmd_context_params_default()
    params.use_gpu = options.gpu_layers != 0
    params.n_threads = options.threads
    params.print_timings = False
    context = mtmd_cpp.mtmd_init_from_file(options.mmproj_path.encode(), model, params)
    if context is None:
        return NoVision("Its projector cannot be used with it; the engine's log says why.")
    if not mtmd_cpp.mtmd_support_vision(context):
        mtmd_cpp.mtmd_free(context)
        return NoVision("Its projector is for sound.")
    identity = hashlib.blake2b(repr(file_identity(Path(options.mmproj_path))).encode(), digest_size=32).digest()
    return Projector(
        context,
        options,
        width=llama_cpp.llama_model_n_embd_inp(model),
        num_vocab=llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model)),
        identity=identity,
    )


def _places_of(chunk: Any) -> NDArray[np.int32]:
    """Where the rows stand behind the image's first place: in time, down, across, and in a fourth dimension. Raises
    ImagesNotSupported where that depends on more than the image."""
    tokens = mtmd_cpp.mtmd_input_chunk_get_tokens_image(chunk)
    count = mtmd_cpp.mtmd_image_tokens_get_n_tokens(tokens)
    found = []
    for first in (0, _ELSEWHERE):
        array = (mtmd_cpp.mtmd_decoder_pos * count)()
        mtmd_cpp.mtmd_helper_image_get_decoder_pos(tokens, first, array)
        found.append(np.array([[each.t, each.y, each.x, each.z] for each in array], np.int32).T - first)
    here, elsewhere = found
    if not (here[:3] == elsewhere[:3]).all():
        raise ImagesNotSupported("Its projector places images in a way that is not supported yet.")
    return here
