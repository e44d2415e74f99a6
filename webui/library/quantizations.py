"""The types that a model can be quantized to, in words for people. A table only; sizes are reckoned from the file.

Source: llama.h (`enum llama_ftype`) and llama.cpp's quantize tool, as of llama.cpp in llama-cpp-python 0.3.36.
"""

from __future__ import annotations

from typing import NamedTuple


class Quantization(NamedTuple):
    """`file_type` is llama.cpp's number. What needs an importance matrix is refused by llama.cpp without one."""

    name: str
    file_type: int
    words: str
    needs_imatrix: bool = False


_NEEDS = "needs an importance matrix"

QUANTIZATIONS = (
    Quantization("F32", 0, "32-bit floats: twice the size of F16 and no better"),
    Quantization("BF16", 32, "16-bit floats as most models are trained"),
    Quantization("F16", 1, "16-bit floats: the place to start from"),
    Quantization("Q8_0", 7, "8 bits: hardly to be told from F16"),
    Quantization("Q6_K", 18, "6 bits: very close to F16"),
    Quantization("Q5_K_M", 17, "5 bits: close to F16"),
    Quantization("Q5_K_S", 16, "5 bits, a little smaller"),
    Quantization("Q5_1", 9, "5 bits in the older way"),
    Quantization("Q5_0", 8, "5 bits in the older way, a little smaller"),
    Quantization("Q4_K_M", 15, "4 bits: the usual choice of size and quality"),
    Quantization("Q4_K_S", 14, "4 bits, a little smaller"),
    Quantization("Q4_1", 3, "4 bits in the older way: fast on a CPU"),
    Quantization("Q4_0", 2, "4 bits in the older way: fast on a CPU, a little smaller"),
    Quantization("IQ4_NL", 25, "4 bits, unevenly spaced"),
    Quantization("IQ4_XS", 30, "4 bits, unevenly spaced, a little smaller"),
    Quantization("MXFP4_MOE", 38, "4-bit floats for the experts of a mixture"),
    Quantization("Q3_K_L", 13, "3 bits, the large mix"),
    Quantization("Q3_K_M", 12, "3 bits: quality begins to suffer"),
    Quantization("Q3_K_S", 11, "3 bits, the small mix"),
    Quantization("IQ3_M", 27, "3 bits, unevenly spaced, the better mix"),
    Quantization("IQ3_S", 26, "3 bits, unevenly spaced"),
    Quantization("IQ3_XS", 22, f"3 bits; {_NEEDS}", needs_imatrix=True),
    Quantization("IQ3_XXS", 23, f"3 bits, the smallest; {_NEEDS}", needs_imatrix=True),
    Quantization("Q2_K", 10, "2 bits: for models that would not fit otherwise"),
    Quantization("Q2_K_S", 21, f"2 bits, a little smaller; {_NEEDS}", needs_imatrix=True),
    Quantization("Q2_0", 41, "2 bits, evenly spaced: for models trained for it"),
    Quantization("IQ2_M", 29, f"2 bits, the better mix; {_NEEDS}", needs_imatrix=True),
    Quantization("IQ2_S", 28, f"2 bits; {_NEEDS}", needs_imatrix=True),
    Quantization("IQ2_XS", 20, f"2 bits; {_NEEDS}", needs_imatrix=True),
    Quantization("IQ2_XXS", 19, f"2 bits, the smallest; {_NEEDS}", needs_imatrix=True),
    Quantization("IQ1_M", 31, f"less than 2 bits; {_NEEDS}", needs_imatrix=True),
    Quantization("IQ1_S", 24, f"less than 2 bits, the smallest; {_NEEDS}", needs_imatrix=True),
    Quantization("TQ2_0", 37, "three values: for models trained for it"),
    Quantization("TQ1_0", 36, "three values, packed: for models trained for it"),
    Quantization("Q1_0", 40, "1 bit: for models trained for it"),
)

_ALIASES = {"Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M", "Q3_K": "Q3_K_M", "FP16": "F16", "FP32": "F32", "MXFP4": "MXFP4_MOE"}


def find_quantization(name: str) -> Quantization | None:
    """By name, whatever the case of its letters; llama.cpp's short names are known too."""
    wanted = name.strip().upper()
    wanted = _ALIASES.get(wanted, wanted)
    return next((each for each in QUANTIZATIONS if each.name == wanted), None)
