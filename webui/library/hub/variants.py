"""The files of a repository as variants: one for each quantization, the parts of a split model together.

Names and sizes only. What the hub says is hostile: a file whose path no machine could hold is left out, and so is a
split model of which parts are missing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from webui.library.hub.reference import is_safe_path
from webui.library.hub.values import HubFile, HubVariant
from webui.library.split import split_name

_MAX_FILES = 5000
_QUANTIZATION = re.compile(
    r"(?<![A-Za-z0-9])((?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|BF16|FP?16|FP?32|MXFP4(?:_MOE)?|NVFP4))(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_MMPROJ = re.compile(r"(?:^|[-._])mmproj(?:[-._]|$)", re.IGNORECASE)
_NO_MODEL = re.compile(r"(?:^|[-._])(?:imatrix|lora|adapter)(?:[-._]|$)", re.IGNORECASE)
#: Small loss for the size: most people want Q4_K_M, then what is nearest to it.
_SENSIBLE = ("Q4_K_M", "UD-Q4_K_XL", "Q4_K_S", "IQ4_XS", "Q4_K", "IQ4_NL", "Q4_0", "Q4_1", "MXFP4", "MXFP4_MOE")
_SENSIBLE_BUT_LARGER = ("Q5_K_M", "Q5_K_S", "Q5_0", "Q5_1", "Q6_K", "Q8_0", "F16", "BF16", "FP16")
_BEST_MMPROJ = ("F16", "FP16", "BF16", "Q8_0", "F32", "FP32")


def group_variants(files: Iterable[HubFile]) -> tuple[HubVariant, ...]:
    """From small to large. Where two files have the same quantization, the labels tell them apart by their names."""
    models: dict[str, list[HubFile]] = defaultdict(list)
    projectors = []
    for file in list(files)[:_MAX_FILES]:
        if not file.path.lower().endswith(".gguf") or file.size_bytes <= 0 or not is_safe_path(file.path):
            continue
        if _MMPROJ.search(file.name[: -len(".gguf")]):
            projectors.append(file)
        elif not _NO_MODEL.search(file.name[: -len(".gguf")]):
            models[_stem(file.path)].append(file)
    whole = {stem: parts for stem, members in models.items() if (parts := _whole(members))}
    labels = _labels(list(whole))
    default = _choose_default(labels, whole)
    variants = [
        HubVariant(
            label=labels[stem],
            files=parts,
            size_bytes=sum(part.size_bytes for part in parts),
            mmproj=_choose_mmproj(projectors),
            is_default=stem == default,
        )
        for stem, parts in whole.items()
    ]
    return tuple(sorted(variants, key=lambda variant: (variant.size_bytes, variant.label)))


def find_variant(variants: Sequence[HubVariant], label: str | None) -> HubVariant | None:
    """By its label, whatever the case of its letters; the default for None."""
    if label is None:
        return next((each for each in variants if each.is_default), None)
    return next((each for each in variants if each.label.casefold() == label.casefold()), None)


def quantization_in(name: str) -> str:
    """ "Q4_K_M" in "SmolLM2-135M-Instruct-Q4_K_M"; the last one where there are several, "" where there is none."""
    found = _QUANTIZATION.findall(name)
    return str(found[-1]).upper() if found else ""


def _stem(path: str) -> str:
    """The path without the number of a part and without ".gguf"."""
    folder, slash, name = path.rpartition("/")
    split = split_name(name)
    return folder + slash + (f"{split[0]}-of-{split[2]:05}" if split else name[: -len(".gguf")])


def _whole(members: list[HubFile]) -> tuple[HubFile, ...]:
    """The parts in order, or nothing when one is missing."""
    parts = sorted(members, key=lambda file: file.path.casefold())
    split = split_name(parts[0].name)
    if split is None:
        return (parts[0],)
    numbers = [each[1] for part in parts if (each := split_name(part.name))]
    return tuple(parts) if numbers == list(range(1, split[2] + 1)) else ()


def _labels(stems: list[str]) -> dict[str, str]:
    """The quantization where that is enough to tell the models of a repository apart, else the file's name."""
    quantizations = {stem: _quantization_of(stem) for stem in stems}
    counts: dict[str, int] = defaultdict(int)
    for label in quantizations.values():
        counts[label] += 1
    names = {stem: _fit_for_label(re.sub(r"-of-\d{5}$", "", stem.rpartition("/")[2])) for stem in stems}
    labels: dict[str, str] = {}
    for stem in sorted(stems, key=lambda each: (each.count("/"), len(each), each)):
        label = quantizations[stem]
        if not label or (counts[label] > 1 and label in labels.values()):
            label = names[stem] if names[stem] not in labels.values() else _fit_for_label(stem)
        labels[stem] = label
    return labels


def _fit_for_label(text: str) -> str:
    """So that one can write it behind the colon of a reference."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).lstrip("._-") or "model"


def _quantization_of(stem: str) -> str:
    """Said by the file's name, else by the folder that it is in."""
    folder, _, name = stem.rpartition("/")
    return quantization_in(re.sub(r"-of-\d{5}$", "", name)) or quantization_in(folder)


def _choose_default(labels: dict[str, str], whole: dict[str, tuple[HubFile, ...]]) -> str | None:
    """The sensible quantization; where there is none of these, the smallest file."""
    by_label = {label: stem for stem, label in reversed(labels.items())}
    for wanted in (*_SENSIBLE, *_SENSIBLE_BUT_LARGER):
        if wanted in by_label:
            return by_label[wanted]
    return min(whole, key=lambda stem: sum(part.size_bytes for part in whole[stem]), default=None)


def _choose_mmproj(projectors: list[HubFile]) -> HubFile | None:
    """Precise enough, and no larger than need be."""
    ranks = {label: rank for rank, label in enumerate(_BEST_MMPROJ)}
    return min(
        projectors,
        key=lambda file: (ranks.get(quantization_in(file.name[: -len(".gguf")]), len(ranks)), file.size_bytes),
        default=None,
    )
