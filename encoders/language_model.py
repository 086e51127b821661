"""A language model at work: ids in, weights out; of the vocabulary, or of positions."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lexidex.errors import CorruptFile, ParameterError
from lexidex.index.vectors import Components, Float32s

from .engines.engine import Engine, check_backend, find_engine
from .heads import HEAD_WEIGHTS, headless
from .json_file import read_json
from .lora import adapter_file
from .networks import network_class
from .projection import Pooling
from .scalar_weights import has_layers, head_files
from .weights import checksum, is_packed, tensor_names, weight_files

if TYPE_CHECKING:
    import torch

_log = logging.getLogger("lexidex")

# What transformers writes into config.json that changes no weight of any vector.
_INCIDENTAL = ("_name_or_path", "transformers_version", "torch_dtype", "dtype")


class LanguageModel:
    """The model in a folder. Weights load with the first batch, once, whatever the thread."""

    def __init__(
        self,
        folder: Path,
        trust_remote_code: bool = False,
        licence: str | None = None,
        *,
        head: str = "mlm",
        adapter: Path | None = None,
        backend: str = "auto",
    ) -> None:
        """Read the settings, and from safetensors files whether they are whole.

        Args:
            folder: config.json and weights.
            trust_remote_code: whether code from the model's repository may run.
            licence: what the log says when the weights load.
            head: one of `lexidex.encoders.networks.NETWORKS`.
            adapter: a folder with a LoRA adapter, merged into the weights.
            backend: what runs it, see `lexidex.encoders.engines.engine.BACKENDS`.

        Raises:
            CorruptFile: settings or weights are missing or truncated.
            ParameterError: the weights hold no such head.
        """
        self.folder = folder
        self.head = head
        self._backend = check_backend(backend)
        self._engines: dict[Pooling, Engine | None] = {}
        self._adapter = adapter
        self._trust_remote_code = trust_remote_code
        self._licence = licence
        self._config = read_json(folder / "config.json")
        vocabulary = self._config.get("vocab_size")
        if not isinstance(vocabulary, int) or vocabulary < 1:
            raise CorruptFile(f"{folder / 'config.json'}: vocab_size: {vocabulary!r}")
        self.vocabulary: int = vocabulary
        self._files = weight_files(folder)
        self._check_head()
        self._loading = threading.Lock()
        self._network: Any = None
        self._device = "cpu"
        self._is_trained = False

    @property
    def identity(self) -> list[Any]:
        """Equal for models with equal settings and weights; reads every byte the first time."""
        files = head_files(self.folder)
        if self._adapter is not None:
            files = [*files, adapter_file(self._adapter), self._adapter / "adapter_config.json"]
        return model_identity(self.folder, files)

    @property
    def digest(self) -> str:
        """`identity` in 32 digits."""
        described = json.dumps(self.identity, sort_keys=True)
        return hashlib.sha256(described.encode()).hexdigest()[:32]

    def vectors(
        self, texts: Sequence[Sequence[int]], pooling: Pooling
    ) -> list[tuple[Components, Float32s]]:
        """One vector a text, as (components, values), by a head that scores the vocabulary.

        Args:
            texts: ids of each text, at least one; padded to the longest for the backbone only.
            pooling: how scores become weights.

        Raises:
            CorruptFile: the weights cannot be loaded, or give scores that are not finite.
        """
        engine = self._engine(pooling)
        if engine is not None:
            return self._vectors_by(engine, texts, pooling)
        network = self.network()
        ids, mask = padded(texts, self.padding)
        found: list[tuple[Components, Float32s]] = network.vectors(ids, mask, pooling)
        return found

    def weights(self, texts: Sequence[Sequence[int]], activation: str) -> list[Float32s]:
        """Weights of the positions of each text, by a scalar head.

        Args:
            texts: ids of each text, at least one.
            activation: how scores become weights.

        Raises:
            CorruptFile: the weights cannot be loaded, or give scores that are not finite.
        """
        network = self.network()
        found = network.weights(*padded(texts, self.padding), activation)
        return [row[: len(text)] for row, text in zip(found, texts, strict=True)]

    def use_device(self, device: str) -> None:
        """Compute on that device of torch's from now on."""
        with self._loading:
            self._device = device
            if self._network is not None:
                self._network.to(device)

    @property
    def padding(self) -> int:
        """The id that texts are padded with."""
        return int(self._config.get("pad_token_id") or 0)

    @property
    def is_changed(self) -> bool:
        """Whether the weights in memory may differ from those in the folder."""
        return self._is_trained or self._adapter is not None

    @property
    def is_packed(self) -> bool:
        """Whether others than this package cannot read the folder's weights."""
        return is_packed(tensor_names(self._files))

    def trainable(self) -> Any:
        """`network`, for somebody who may change it."""
        if self._backend == "kernels":
            raise ParameterError("backend: 'kernels'; integers cannot be trained, use 'torch'")
        self._is_trained = True
        return self.network()

    def run_by(self, engine: Engine, pooling: Pooling) -> None:
        """Let `engine` give the vectors of that pooling from now on."""
        self._engines[pooling] = engine

    def _engine(self, pooling: Pooling) -> Engine | None:
        """What runs the model without torch, if anything does."""
        if self.head != "mlm" or self.is_changed:
            return None
        with self._loading:
            if pooling not in self._engines:
                found = find_engine(self.folder, self.digest, pooling, self._backend)
                self._engines[pooling] = found
                if found is not None:
                    self._tell_licence()
            return self._engines[pooling]

    def _vectors_by(
        self, engine: Engine, texts: Sequence[Sequence[int]], pooling: Pooling
    ) -> list[tuple[Components, Float32s]]:
        counted = [pooling.positions(text) for text in texts]
        pooled = np.full((len(texts), self.vocabulary), pooling.empty, dtype=np.float32)
        some = [row for row, positions in enumerate(counted) if positions.size]
        if some:
            pooled[some] = engine.pool([texts[row] for row in some], [counted[row] for row in some])
        highest = pooled.max()
        if np.isnan(highest) or highest == np.inf:
            raise CorruptFile(f"{self.folder}: its export gives a score of {highest}")
        return pooling.rows(pooled)

    def _tell_licence(self) -> None:
        _log.info("%s: licence: %s", self.folder, self._licence or "not stated")

    def network(self) -> Any:
        """The torch module, see `lexidex.encoders.networks`; loaded at the first call."""
        with self._loading:
            if self._network is None:
                from .backbones import Source

                source = Source(self.folder, self._adapter, self._trust_remote_code)
                network = network_class(self.head).load(source)
                if self._backend == "kernels":
                    from .engines.integer_layers import use_integers

                    use_integers(network.model.base_model)
                self._network = network.to(self._device)
                self._tell_licence()
            return self._network

    def _check_head(self) -> None:
        names = tensor_names(self._files)
        if not any(name.endswith(".weight") for name in names):
            return  # an old .bin file, which tells nothing before it is loaded
        wanted = HEAD_WEIGHTS.get(self._config.get("model_type", ""))
        if self.head in ("mlm", "epic") and wanted is not None and wanted not in names:
            raise headless(self.folder, [wanted])
        if self.head in ("scalar", "epic") and not has_layers(self.folder):
            raise headless(self.folder, ["scalar head"])


def model_identity(folder: Path, more: Sequence[Path] = ()) -> list[Any]:
    """Settings and checksums of a folder's weights, and of more files, as JSON can hold them."""
    config = read_json(folder / "config.json")
    settings = {key: value for key, value in config.items() if key not in _INCIDENTAL}
    files = [*weight_files(folder), *more]
    return [settings, [[file.name, file.stat().st_size, checksum(file)] for file in files]]


def padded(
    texts: Sequence[Sequence[int] | Components], filler: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids int64 and where there is text bool, both (texts, longest)."""
    import torch

    shape = (len(texts), max(map(len, texts)))
    ids = np.full(shape, filler, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.bool_)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = True
    return torch.from_numpy(ids), torch.from_numpy(mask)
