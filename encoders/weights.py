"""The weight files of a checkpoint: which there are, whether they are whole, what they hold.

Nothing here needs torch. Weights are read from safetensors, or from .bin files without pickle.
"""

from __future__ import annotations

import json
import pickletools
import secrets
import stat
import threading
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from lexidex.errors import CorruptFile
from lexidex.index.vectors import Float32s

SAFETENSORS = "model.safetensors"
BIN = "pytorch_model.bin"

SCALE = ".scale"
"""Ends the name of the scales of a tensor that is stored as bytes: `lexidex.encoders.packing`."""

Tensors: TypeAlias = dict[str, Float32s]

_EMBEDDINGS = ("embeddings.word_embeddings.weight", "embeddings.tok_embeddings.weight")
"""The first weight of every backbone known here."""

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


def tensor_names(files: list[Path]) -> set[str]:
    """The names of all tensors; of .bin files every string in them, names among them.

    Reads headers only, runs nothing, and finds nothing in .bin files older than PyTorch 1.6.

    Raises:
        CorruptFile: a file is truncated or no safetensors file.
    """
    names: set[str] = set()
    for file in files:
        if file.suffix == ".safetensors":
            with _opened(file) as tensors:
                names |= set(tensors.keys())
        else:
            names |= _strings(file)
    return names


def prefix_of(names: set[str]) -> str:
    """What stands before the names of a backbone's weights: "", "bert.", "coil_encoder.bert."."""
    for ending in _EMBEDDINGS:
        found = [name for name in names if name == ending or name.endswith(f".{ending}")]
        if found:
            return min(found, key=len).removesuffix(ending)
    return ""


def read_tensor(folder: Path, name: str) -> Float32s:
    """One tensor of a folder's weights, float32.

    Raises:
        CorruptFile: the files cannot be read, or have no such tensor.
    """
    found = read_tensors(folder, name)
    if "" not in found:
        raise CorruptFile(f"{folder}: no tensor {name!r} in its weights")
    return found[""]


def read_tensors(folder: Path, prefix: str) -> Tensors:
    """The tensors of a folder's weights whose names begin so, float32, by the rest of the name.

    Raises:
        CorruptFile: a file cannot be read.
    """
    tensors: Tensors = {}
    for file in weight_files(folder):
        read = read_safetensors if file.suffix == ".safetensors" else read_pickled
        tensors |= read(file, prefix)
    return tensors


def read_safetensors(file: Path, prefix: str = "") -> Tensors:
    """`read_tensors` of one safetensors file."""
    with _opened(file) as tensors:
        found: Tensors = {}
        names = set(tensors.keys())
        packed = {name for name in names if name + SCALE in names and _type(tensors, name) == "I8"}
        for name in sorted(names - {name + SCALE for name in packed}):
            if not name.startswith(prefix):
                continue
            bfloat16 = _type(tensors, name) == "BF16"
            tensor = _bfloat16(file, name) if bfloat16 else tensors.get_tensor(name)
            whole = np.ascontiguousarray(tensor, dtype=np.float32)
            if name in packed:
                whole *= tensors.get_tensor(name + SCALE).astype(np.float32)[:, None]
            found[name.removeprefix(prefix)] = whole
    return found


def write_safetensors(tensors: Mapping[str, np.ndarray], file: Path) -> None:
    """Write a safetensors file, which those may read who may read other new files."""
    from safetensors.numpy import save_file

    save_file(dict(tensors), file)
    let_umask_decide([file])


def let_umask_decide(files: Iterable[Path]) -> None:
    """Give files that safetensors wrote the permissions of others: it gives their owner's alone."""
    for file in files:
        # The umask itself cannot be read without changing it, for all threads.
        probe = file.with_name(f".{secrets.token_hex(8)}")
        probe.touch(exist_ok=False)
        mode = stat.S_IMODE(probe.stat().st_mode)
        probe.unlink()
        file.chmod(mode)


def is_packed(names: set[str]) -> bool:
    """Whether a tensor of these may be stored as bytes, which transformers cannot read."""
    return any(name + SCALE in names for name in names)


def _type(tensors: Any, name: str) -> str:
    found: str = tensors.get_slice(name).get_dtype()
    return found


def read_pickled(file: Path, prefix: str = "") -> Tensors:
    """`read_tensors` of one file that torch wrote; no code in it is run."""
    import torch

    try:
        tensors = torch.load(file, map_location="cpu", weights_only=True)
        return {
            name.removeprefix(prefix): np.ascontiguousarray(tensor.float().numpy())
            for name, tensor in tensors.items()
            if name.startswith(prefix)
        }
    except Exception as error:
        raise CorruptFile(f"{file}: cannot be loaded without pickle: {error}") from None


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


def _bfloat16(file: Path, name: str) -> Float32s:
    """A tensor of a type that NumPy lacks: its bits are the upper half of a float32's."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))[name]
        start, end = header["data_offsets"]
        stream.seek(8 + length + start)
        halves = np.frombuffer(stream.read(end - start), dtype="<u2")
    return (halves.astype(np.uint32) << 16).view(np.float32).reshape(header["shape"])


def _strings(file: Path) -> set[str]:
    """Every string in the pickle of a .bin file, without unpickling it."""
    try:
        with zipfile.ZipFile(file) as archive:
            name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            opcodes = pickletools.genops(archive.read(name))
            return {argument for _, argument, _ in opcodes if isinstance(argument, str)}
    except (OSError, ValueError, StopIteration, zipfile.BadZipFile):
        return set()
