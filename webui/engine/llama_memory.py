"""The KV memory of one llama.cpp context: trims, copies, saves and restores what a slot holds.

What llama.cpp can do differs by model, and where it cannot it may say so, forget silently, or abort; here all of that
becomes one bool, found out before anything is touched, so that what is refused is left as it was:

- attention over everything (llama, qwen2, ...) can be cut at any length;
- a sliding window (gemma, gpt-oss) has forgotten what lies before it: it can be cut only where all that the next token
  attends to is still there, near the end or while the conversation is shorter than the window;
- a recurrent state (mamba) knows its end only, and a hybrid with it.

llama.cpp's own way back for some recurrent states (`n_rs_seq`) is not used: behind a restored state it says yes and
computes something else.

A whole state can be saved and restored in all of them. A state is only ever what `save` returned: llama.cpp aborts on
some damaged states, so bytes that were elsewhere in the meantime (on disk) must be checked before they come here.

llama.cpp counts places, everybody else counts tokens. They differ behind an image whose rows stand in two dimensions,
so a slot's images are noted here, and saved with its state. It does not know whose slots these are.
"""

from __future__ import annotations

import ctypes
import struct

import llama_cpp

_LENGTH = struct.Struct("<I")  # behind llama.cpp's own bytes: how many places the state holds
_IMAGE = struct.Struct("<II")  # behind that, of each image that saves places: where it ends, and how many it saves
_IMAGES = struct.Struct("<I6s")  # and behind these, if any: how many there are
_HAS_IMAGES = b"IMAGES"
_END = -1  # for llama.cpp: up to the last position

_new_bytes = ctypes.pythonapi.PyBytes_FromStringAndSize
_new_bytes.argtypes = (ctypes.c_void_p, ctypes.c_ssize_t)
_new_bytes.restype = ctypes.py_object


def _start_of(data: bytes) -> ctypes._Pointer[ctypes.c_uint8]:
    """A pointer to the bytes themselves, not to a copy."""
    return ctypes.cast(ctypes.c_char_p(data), ctypes.POINTER(ctypes.c_uint8))


class LlamaMemory:
    """Satisfies `KvMemory`. Slots are llama.cpp's sequence ids."""

    def __init__(
        self,
        model: llama_cpp.llama_model_p,
        context: llama_cpp.llama_context_p,
        *,
        shares_cells: bool,
        is_quantized: bool = False,
    ) -> None:
        """`shares_cells`: the context was made with `kv_unified`; `is_quantized`: with another type than f16."""
        self._context = context
        self._memory = llama_cpp.llama_get_memory(context)
        self._window: int = llama_cpp.llama_model_n_swa(model)  # 0: attention over everything
        self._has_state: bool = llama_cpp.llama_model_is_recurrent(model) or llama_cpp.llama_model_is_hybrid(model)
        self._shares_cells = shares_cells
        self._is_quantized = is_quantized
        self._sharers: set[int] = set()  # slots that may have cells in common with others
        self._images: dict[int, list[tuple[int, int]]] = {}  # of a slot: where one ends, what it saves
        self._is_shift_pending = False

    @property
    def shares_cells(self) -> bool:
        """Whether a copy is by reference, in one memory for all slots."""
        return self._shares_cells

    @property
    def can_trim(self) -> bool:
        """Whether a slot can be cut at any length; if not, `trim` may still say yes near the end of a slot."""
        return not self._window and not self._has_state

    def trim(self, slot: int, length: int) -> bool:
        """Keep the first `length` tokens. False: the memory cannot, and the slot is as it was."""
        is_trimmed = self._trim(slot, self._place(slot, length))
        if is_trimmed:
            self._set_images(slot, self._images_before(slot, length))
        return is_trimmed

    def _trim(self, slot: int, length: int) -> bool:
        if length >= self._length(slot):
            return length == self._length(slot)
        if length == 0:
            self.clear(slot)
            return True
        if not self._reaches_back(slot, length):
            return False
        was_trimmed: bool = llama_cpp.llama_memory_seq_rm(self._memory, slot, length, _END)
        return was_trimmed and self._length(slot) == length

    def copy(self, source: int, target: int, length: int) -> bool:
        """Put the first `length` tokens of `source` into the empty `target`. False: it cannot, the target is empty."""
        is_copied = self._copy(source, target, self._place(source, length))
        if is_copied:
            self._set_images(target, self._images_before(source, length))
        return is_copied

    def _copy(self, source: int, target: int, length: int) -> bool:
        held = self._length(source)
        if not 0 < length <= held or (self._has_state and length < held):
            return False
        is_copied = self._share(source, target, length) if self._shares_cells else self._duplicate(source, target)
        if is_copied and self._trim(target, length):
            return True
        self.clear(target)
        return False

    def clear(self, slot: int) -> None:
        """Forget everything in `slot`. Never fails. The pages of its cells stay resident."""
        llama_cpp.llama_memory_seq_rm(self._memory, slot, -1, _END)
        self._sharers.discard(slot)
        self._images.pop(slot, None)

    def save(self, slot: int) -> bytes | None:
        """The whole state of a slot; None when there is none, or none to be had before the next step."""
        if self._length(slot) == 0 or self._is_shift_pending:  # llama.cpp would save new positions with old keys
            return None
        state = self._read_state(slot, llama_cpp.LLAMA_STATE_SEQ_FLAGS_NONE)
        images = self._images.get(slot)
        if state is None or not images:
            return state
        return b"".join([state, *(_IMAGE.pack(*each) for each in images), _IMAGES.pack(len(images), _HAS_IMAGES)])

    def restore(self, slot: int, state: bytes) -> bool:
        """Put what `save` returned into the empty `slot`. False: the memory refused (no room); the slot is empty."""
        images: list[tuple[int, int]] = []
        if state.endswith(_HAS_IMAGES):
            count, _ = _IMAGES.unpack_from(state, len(state) - _IMAGES.size)
            start = len(state) - _IMAGES.size - count * _IMAGE.size
            images = [_IMAGE.unpack_from(state, start + index * _IMAGE.size) for index in range(count)]
            state = state[:start]
        if self._write_state(slot, state, llama_cpp.LLAMA_STATE_SEQ_FLAGS_NONE):
            self._set_images(slot, images)
            return True
        self.clear(slot)
        return False

    def shift(self, slot: int, keep: int, discard: int) -> bool:
        """Forget `discard` tokens behind the first `keep`; what follows moves up. False: it cannot, nothing changed.

        What moved still carries what it once saw of the forgotten. The keys are turned to their new positions at the
        next step, which takes longer and makes all keys resident: llama.cpp turns those of every slot, by nothing.
        Cells that other slots share cannot move, and quantized keys cannot be turned: llama.cpp crashes unless a head's
        width is a multiple of 64.
        """
        can_shift = (
            self.can_trim
            and not self._is_quantized
            and slot not in self._images
            and llama_cpp.llama_memory_can_shift(self._memory)
        )
        if not can_shift or slot in self._sharers or keep + discard >= self._length(slot):
            return False
        if not llama_cpp.llama_memory_seq_rm(self._memory, slot, keep, keep + discard):
            return False
        llama_cpp.llama_memory_seq_add(self._memory, slot, keep + discard, _END, -discard)
        self._is_shift_pending = True
        return True

    def note_image(self, slot: int, end: int, num_saved: int) -> None:
        """An image was computed that ends before the token `end` of `slot`, and takes `num_saved` places less than it
        has rows."""
        if num_saved:
            self._images.setdefault(slot, []).append((end, num_saved))

    def note_step(self) -> None:
        """A batch was decoded: llama.cpp has done what was pending."""
        self._is_shift_pending = False

    # --- how ---------------------------------------------------------------------------------------------------------

    def _length(self, slot: int) -> int:
        """Places that `slot` holds: they count from 0, and behind the last token there is none."""
        last: int = llama_cpp.llama_memory_seq_pos_max(self._memory, slot)
        return last + 1

    def _place(self, slot: int, length: int) -> int:
        """The place behind the first `length` tokens."""
        return length - sum(saved for _, saved in self._images_before(slot, length))

    def _images_before(self, slot: int, length: int) -> list[tuple[int, int]]:
        return [(end, saved) for end, saved in self._images.get(slot, ()) if end <= length]

    def _set_images(self, slot: int, images: list[tuple[int, int]]) -> None:
        self._images.pop(slot, None)
        if images:
            self._images[slot] = images

    def _reaches_back(self, slot: int, length: int) -> bool:
        """Whether all that a token at `length` attends to is still there: windows forget without a word.

        It attends to as many tokens as the window is wide, itself among them. So a restored state, which holds no more
        than the next token needs, can still be cut by one.
        """
        oldest: int = llama_cpp.llama_memory_seq_pos_min(self._memory, slot)
        return not self._window or oldest <= max(0, length - self._window + 1)

    def _share(self, source: int, target: int, length: int) -> bool:
        is_whole = length == self._length(source)
        if not is_whole and not self._reaches_back(source, length):
            return False
        first, last = (-1, _END) if is_whole else (0, length)  # some memories take nothing but -1, -1 for "all"
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, first, last)
        self._sharers |= {source, target}
        return not self._window or self._own_window(target)

    def _own_window(self, slot: int) -> bool:
        """Give a slot its own copy of what its windows see.

        Cells that a window has left are used again, but not while two slots share them: a few copies of a long
        conversation would fill the small memory of the windows with what nobody can see.
        """
        only_windows = llama_cpp.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
        state = self._read_state(slot, only_windows)
        return state is not None and self._write_state(slot, state, only_windows)

    def _duplicate(self, source: int, target: int) -> bool:
        """Between streams llama.cpp copies whole buffers, and only at the next step; a state is what is in use, now."""
        state = self.save(source)
        return state is not None and self.restore(target, state)

    def _read_state(self, slot: int, flags: int) -> bytes | None:
        """llama.cpp's bytes and the length behind them.

        The bytes object is filled in by C, as CPython's C API allows for a new one: states are tens of megabytes, and
        a buffer that is made into bytes afterwards takes several times as long.
        """
        size = llama_cpp.llama_state_seq_get_size_ext(self._context, slot, flags)
        try:
            state: bytes = _new_bytes(None, size + _LENGTH.size)
        except MemoryError:
            return None
        start = _start_of(state)
        if not size or llama_cpp.llama_state_seq_get_data_ext(self._context, start, size, slot, flags) != size:
            return None
        trailer = _LENGTH.pack(self._length(slot))
        ctypes.memmove(ctypes.addressof(start.contents) + size, trailer, len(trailer))
        return state

    def _write_state(self, slot: int, state: bytes, flags: int) -> bool:
        size = len(state) - _LENGTH.size
        (length,) = _LENGTH.unpack_from(state, size)
        num_read = llama_cpp.llama_state_seq_set_data_ext(self._context, _start_of(state), size, slot, flags)
        return bool(num_read == size) and self._length(slot) == length
