"""The weight files of a checkpoint: which there are, whether they are whole, what they hold.

Nothing here needs torch. Weights are read from safetensors, or from .bin files without pickle.
"""

from __future__ import annotations

import json
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from lexidex.errors import CorruptFile
from lexidex.index.vectors import Float32s

SAFETENSORS = "model.safetensors"
BIN = "pytorch_model.bin"

_checksums: dict[tuple[str, int, int], int] = {}
_checksums_lock = threading.Lock()


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a folder's weights: safetensors if there are any, else .bin.

    Raises:
        CorruptFile: there are none, or one that the index of a divided checkpoint names is missing.
    """
    for name in (SAFETENSORS, BIN):
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            return [folder / name]
        if index.is_file():
            files = [folder / part for part in sorted(set(_weight_map(index).values()))]
            missing = [file.name for file in files if not file.is_file()]
            if missing:
                raise CorruptFile(f"{index}: names {missing[0]}, which is not there")
            return files
    raise CorruptFile(f"{folder}: no weights: neither {SAFETENSORS} nor {BIN} is there")


def tensor_names(files: list[Path]) -> set[str] | None:
    """The names of all tensors; None for .bin files, which do not tell before they are loaded.

    Reads headers only.

    Raises:
        CorruptFile: a file is truncated or no safetensors file.
    """
    if any(file.suffix != ".safetensors" for file in files):
        return None
    names: set[str] = set()
    for file in files:
        with _opened(file) as tensors:
            names |= set(tensors.keys())
    return names


def read_tensor(folder: Path, name: str) -> Float32s:
    """One tensor of a folder's weights, float32.

    Raises:
        CorruptFile: the files cannot be read, or have no such tensor.
    """
    for file in weight_files(folder):
        read = _from_safetensors if file.suffix == ".safetensors" else _from_bin
        found = read(file, name)
        if found is not None:
            return np.ascontiguousarray(found, dtype=np.float32)
    raise CorruptFile(f"{folder}: no tensor {name!r} in its weights")


def checksum(file: Path) -> int:
    """CRC-32 of a file's content; worked out once as long as size and time of change stay."""
    status = file.stat()
    key = (str(file.resolve()), status.st_size, status.st_mtime_ns)
    with _checksums_lock:
        if key not in _checksums:
            _checksums[key] = _crc32(file)
        return _checksums[key]


def _crc32(file: Path) -> int:
    value = 0
    with file.open("rb") as stream:
        while piece := stream.read(1 << 20):
            value = zlib.crc32(piece, value)
    return value


def _weight_map(index: Path) -> dict[str, str]:
    try:
        parts: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return {str(name): Path(part).name for name, part in parts.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptFile(f"{index}: not the index of a divided checkpoint: {error}") from None


def _opened(file: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(file, framework="np")
    except (SafetensorError, OSError) as error:
        raise CorruptFile(f"{file}: truncated or no safetensors file: {error}") from None


def _from_safetensors(file: Path, name: str) -> Any:
    with _opened(file) as tensors:
        return tensors.get_tensor(name) if name in tensors.keys() else None  # noqa: SIM118


def _from_bin(file: Path, name: str) -> Any:
    import torch

    try:
        found = torch.load(file, map_location="cpu", weights_only=True).get(name)
    except Exception as error:
        raise CorruptFile(f"{file}: cannot be loaded without pickle: {error}") from None
    return None if found is None else found.float().numpy()
