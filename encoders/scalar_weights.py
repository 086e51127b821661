"""Linear maps from a state onto one number, as checkpoints keep them.

Published checkpoints keep them under the names of their authors' code, beside the backbone or in a
file of their own; ours stand in `scalar_head.safetensors`. Nothing here needs torch, but for files
that only torch can read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np

from lexidex.errors import CorruptFile
from lexidex.index.vectors import Float32s

from .weights import (
    read_pickled,
    read_safetensors,
    read_tensors,
    tensor_names,
    weight_files,
    write_safetensors,
)

Layer: TypeAlias = tuple[Float32s, Float32s]
"""Weight (out, in) and bias (out,)."""

OWN = "scalar_head.safetensors"
RESIDUAL = "residual_head.safetensors"
BGE_M3 = "sparse_linear.pt"

IMPORTANCE = "importance"
QUALITY = "quality"
"""EPIC's maps beside that of queries."""

_PUBLISHED = {
    "unicoil": ("tok_proj",),
    "deeper-impact": ("impact_score_encoder.0",),
    "deep-impact": ("impact_score_encoder.0", "impact_score_encoder.3"),
}
"""Family -> names of its linear maps in the weights, at the end of whatever stands before."""


def published_family(folder: Path) -> str | None:
    """Whose scalar head is in a folder: "bge-m3", "unicoil", ...; None where there is none.

    Reads names of tensors only.
    """
    if (folder / BGE_M3).is_file():
        return "bge-m3"
    names = tensor_names(weight_files(folder))
    for family in reversed(_PUBLISHED):
        if all(_full_name(f"{layer}.weight", names) for layer in _PUBLISHED[family]):
            return family
    return None


def head_files(folder: Path) -> list[Path]:
    """The files that hold nothing but heads, where there are any."""
    return [folder / name for name in (OWN, RESIDUAL, BGE_M3) if (folder / name).is_file()]


def has_layers(folder: Path) -> bool:
    """Whether there are linear maps that weigh tokens."""
    return bool(head_files(folder)) or published_family(folder) is not None


def read_layers(folder: Path, name: str = "") -> list[Layer]:
    """The linear maps of a folder, in order; none where there are none.

    Args:
        folder: of a checkpoint.
        name: which, in our own file; "" for those that weigh tokens, which may be published ones.

    Raises:
        CorruptFile: a file cannot be read, or the shapes are no linear maps onto one number.
    """
    if (folder / OWN).is_file():
        found = _own(folder / OWN, name)
    elif name:
        found = []
    elif (folder / BGE_M3).is_file():
        tensors = read_pickled(folder / BGE_M3)
        found = [_layer(tensors, "", folder)]
    else:
        family = published_family(folder)
        found = [] if family is None else _from_weights(folder, _PUBLISHED[family])
    if found and found[-1][0].shape[0] != 1:
        raise CorruptFile(f"{folder}: a head of shape {found[-1][0].shape}; expected (1, width)")
    return found


def write_layers(folder: Path, layers: list[Layer], name: str = "") -> None:
    """Write linear maps into our own file, beside those of other names."""
    file = folder / OWN
    tensors = read_safetensors(file) if file.is_file() else {}
    for place, layer in enumerate(layers):
        for part, array in zip(("weight", "bias"), layer, strict=True):
            tensors[f"{name or 'scalar'}.{place}.{part}"] = np.ascontiguousarray(array)
    write_safetensors(tensors, file)


def _own(file: Path, name: str) -> list[Layer]:
    tensors = read_safetensors(file, f"{name or 'scalar'}.")
    return [_layer(tensors, f"{place}.", file) for place in range(len(tensors) // 2)]


def _from_weights(folder: Path, names: tuple[str, ...]) -> list[Layer]:
    known = tensor_names(weight_files(folder))
    full = [_full_name(f"{name}.weight", known).removesuffix("weight") for name in names]
    return [_layer(read_tensors(folder, name), "", folder) for name in full]


def _layer(tensors: dict[str, Float32s], prefix: str, where: Path) -> Layer:
    try:
        weight, bias = tensors[f"{prefix}weight"], tensors[f"{prefix}bias"]
    except KeyError as error:
        raise CorruptFile(f"{where}: a head without {error}") from None
    if weight.ndim != 2 or bias.shape != weight.shape[:1]:
        raise CorruptFile(f"{where}: a head of shapes {weight.shape} and {bias.shape}")
    return weight.astype(np.float32), bias.astype(np.float32)


def _full_name(ending: str, names: set[str]) -> str:
    """The name that ends so, whole parts of it; "" where there is none."""
    found = [name for name in names if name == ending or name.endswith(f".{ending}")]
    return min(found, key=len, default="")
