"""Models packed small: halves of floats, and bytes for the embeddings.

A small model is half embeddings. Rows of these are stored as int8 with a float16 scale each, at
most 1/254 of a row's largest value off; all other weights as float16. In memory they are float32
again. What is packed is read by this package alone; `LearnedEncoder.save` writes it as others can
read it.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np

from lexidex.errors import ParameterError
from lexidex.index.vectors import Float32s

from .checkpoint import is_checkpoint
from .json_file import read_json
from .weights import SAFETENSORS, SCALE, Tensors, read_safetensors, write_safetensors

_EMBEDDINGS = ("word_embeddings.weight", "tok_embeddings.weight")
_HEADS = "*_head.safetensors"


def pack(source: Path, folder: Path) -> None:
    """Write a packed copy of the checkpoint in `source` into `folder`.

    Raises:
        ParameterError: there is no checkpoint, or `folder` is there already.
        CorruptFile: a file is unreadable.
    """
    if not is_checkpoint(source):
        raise ParameterError(f"{source}: no model there")
    if folder.exists():
        raise ParameterError(f"{folder}: exists already; give a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        made = Path(scratch) / "model"
        shutil.copytree(source, made, ignore=shutil.ignore_patterns("lexidex_onnx", ".*"))
        for file in [*made.rglob(SAFETENSORS), *made.rglob(_HEADS)]:
            # Tables of term weights stand in files of the same name, without a model's settings.
            is_model = "model_type" in read_json(file.parent / "config.json", missing={})
            if is_model or file.name != SAFETENSORS:
                write_safetensors(packed(read_safetensors(file)), file)
        made.rename(folder)


def packed(tensors: Tensors) -> dict[str, np.ndarray]:
    """Tensors as they are stored; what is out of float16's range stays float32."""
    stored: dict[str, np.ndarray] = {}
    for name, tensor in tensors.items():
        if name.endswith(_EMBEDDINGS):
            stored[name], stored[name + SCALE] = rows_of_bytes(tensor)
        else:
            fits = np.abs(tensor).max(initial=0) <= np.finfo(np.float16).max
            stored[name] = tensor.astype(np.float16) if fits else tensor
    return stored


def rows_of_bytes(rows: Float32s) -> tuple[np.ndarray, np.ndarray]:
    """Rows as int8, and a float16 scale of each: rows are about bytes * scales[:, None]."""
    scales = (np.abs(rows).max(axis=1) / 127).astype(np.float16)
    divisors = np.where(scales > 0, scales, 1).astype(np.float32)
    return np.clip(np.rint(rows / divisors[:, None]), -127, 127).astype(np.int8), scales
