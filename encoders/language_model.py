"""A language model at work: ids in, weights out; of the vocabulary, or of positions."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lexidex.errors import CorruptFile
from lexidex.index.vectors import Components, Float32s

from .heads import HEAD_WEIGHTS, headless
from .json_file import read_json
from .lora import adapter_file
from .networks import network_class
from .projection import Pooling
from .scalar_weights import head_files
from .weights import checksum, tensor_names, weight_files

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
    ) -> None:
        """Read the settings, and from safetensors files whether they are whole.

        Args:
            folder: config.json and weights.
            trust_remote_code: whether code from the model's repository may run.
            licence: what the log says when the weights load.
            head: one of `lexidex.encoders.networks.NETWORKS`.
            adapter: a folder with a LoRA adapter, merged into the weights.

        Raises:
            CorruptFile: settings or weights are missing or truncated.
            ParameterError: the weights hold no head for masked language modelling.
        """
        self.folder = folder
        self._head = head
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
        self._is_trained = False

    @property
    def identity(self) -> list[Any]:
        """Equal for models with equal settings and weights; reads every byte the first time."""
        files = head_files(self.folder)
        if self._adapter is not None:
            files = [*files, adapter_file(self._adapter), self._adapter / "adapter_config.json"]
        return model_identity(self.folder, files)

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

    @property
    def padding(self) -> int:
        """The id that texts are padded with."""
        return int(self._config.get("pad_token_id") or 0)

    @property
    def is_changed(self) -> bool:
        """Whether the weights in memory may differ from those in the folder."""
        return self._is_trained or self._adapter is not None

    def trainable(self) -> Any:
        """`network`, for somebody who may change it."""
        self._is_trained = True
        return self.network()

    def network(self) -> Any:
        """The torch module, see `lexidex.encoders.networks`; loaded at the first call."""
        with self._loading:
            if self._network is None:
                from .backbones import Source

                source = Source(self.folder, self._adapter, self._trust_remote_code)
                self._network = network_class(self._head).load(source)
                _log.info("%s: licence: %s", self.folder, self._licence or "not stated")
            return self._network

    def _check_head(self) -> None:
        if self._head == "embeddings" or self._head == "scalar":
            return
        names = tensor_names(self._files)
        wanted = HEAD_WEIGHTS.get(self._config.get("model_type", ""))
        known = any(name.endswith(".weight") for name in names)
        if known and wanted is not None and wanted not in names:
            raise headless(self.folder, [wanted])


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
