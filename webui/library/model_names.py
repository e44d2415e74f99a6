"""Names and ids of models, made from file names. Text only: it opens no file."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from webui.library.split import split_name

# A quantization at the end of a file name: "-Q4_K_M", ".IQ2_XXS", "-UD-Q4_K_XL", "_f16", "-MXFP4_MOE", "-q4f16".
_QUANTIZATION = re.compile(
    r"(?:^|[-._ ])(?:UD[-_])?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|BF16|FP?16|FP?32|MXFP4(?:_MOE)?|NVFP4)(?:[-._]GGUF)?$",
    re.IGNORECASE,
)
_SAYS_NOTHING = re.compile(r"(?:ggml|gguf|model|models|unsloth|default|main|file|download)*", re.IGNORECASE)
_UNFIT_FOR_ID = re.compile(r"[^\w.+@()\[\]=,~-]+")


def id_from_path(path: Path, name: str = "") -> str:
    """The file name without ".gguf" (and without the number of a part), or the name that another program gave, fit for
    a URL. Not yet unique."""
    split = split_name(path.name)
    stem = name or (split[0] if split else path.name.removesuffix(path.suffix if _is_gguf(path) else ""))
    return _UNFIT_FOR_ID.sub("-", stem).strip("-") or "model"


def _is_gguf(path: Path) -> bool:
    return path.suffix.lower() == ".gguf"


def unique_ids(paths: list[Path], names: list[str] | None = None) -> list[str]:
    """An id for each path (or for its name in `names`). The first of equal ones keeps the plain id; a later one gets a
    suffix from its path, so that it stays the same whatever else comes and goes behind it."""
    taken: set[str] = set()
    ids = []
    for path, name in zip(paths, names or [""] * len(paths), strict=True):
        model_id = id_from_path(path, name)
        if model_id.casefold() in taken:
            digest = hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()
            model_id = next(
                each
                for length in range(6, len(digest) + 1)
                if (each := f"{model_id}-{digest[:length]}").casefold() not in taken
            )
        taken.add(model_id.casefold())
        ids.append(model_id)
    return ids


def display_name(path: Path, general_name: str = "") -> str:
    """ "SmolLM2 135M Instruct" for people. The file's name comes first, because `general.name` is often a training
    run's ("Smollm2 135M 8k Lc100K Mix1 Ep2"); it helps where the file is called "model.gguf" or "Q4_K_M.gguf"."""
    name = _words(_QUANTIZATION.sub("", id_from_path(path)))
    if not _SAYS_NOTHING.fullmatch(name.replace(" ", "")):
        return name
    return _words(general_name) or _words(path.parent.name) or name or id_from_path(path)


def without_quantization(stem: str) -> str:
    """ "SmolLM2-135M-Instruct" of "SmolLM2-135M-Instruct.Q4_1"; a name that is nothing else stays as it is."""
    return _QUANTIZATION.sub("", stem) or stem


def _words(text: str) -> str:
    """Separators become spaces, except in numbers ("1.5B", "v0.3")."""
    text = "".join(each for each in text if each.isprintable())[:200]
    return " ".join(re.sub(r"[-_ ]+|(?<!\d)\.|\.(?!\d)", " ", text).split())
