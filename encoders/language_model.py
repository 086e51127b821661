"""A masked language model at work: ids in, pooled weights over the vocabulary out."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lexidex.errors import CorruptFile, ParameterError
from lexidex.index.vectors import Components, Float32s

from .engines.engine import Engine, check_backend, find_engine
from .heads import HEAD_WEIGHTS, head_of
from .json_file import read_json
from .projection import Head, Pooling
from .screened import fastest
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
        backend: str = "auto",
    ) -> None:
        """Read the settings, and from safetensors files whether they are whole.

        Args:
            folder: config.json and weights of a model for masked language modelling.
            trust_remote_code: whether code from the model's repository may run.
            licence: what the log says when the weights load.
            backend: what runs the model, see `lexidex.encoders.engines.engine`.

        Raises:
            CorruptFile: settings or weights are missing or truncated.
            ParameterError: the weights hold no head for masked language modelling.
        """
        self.folder = folder
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
        self._loaded: tuple[Any, Head] | None = None
        self._backend = check_backend(backend)
        self._engines: dict[Pooling, Engine | None] = {}

    @property
    def identity(self) -> list[Any]:
        """Equal for models with equal settings and weights; reads every byte the first time."""
        settings = {k: v for k, v in self._config.items() if k not in _INCIDENTAL}
        weights = [[file.name, file.stat().st_size, checksum(file)] for file in self._files]
        return [settings, weights]

    @property
    def digest(self) -> str:
        """`identity` in 32 digits."""
        described = json.dumps(self.identity, sort_keys=True)
        return hashlib.sha256(described.encode()).hexdigest()[:32]

    def vectors(
        self, texts: Sequence[Sequence[int]], pooling: Pooling
    ) -> list[tuple[Components, Float32s]]:
        """One vector a text, as (components, values).

        Args:
            texts: ids of each text, at least one; padded to the longest for the backbone only.
            pooling: how scores become weights.

        Raises:
            CorruptFile: the weights cannot be loaded, or give scores that are not finite.
        """
        engine = self._engine(pooling)
        if engine is None:
            pooled = self._pooled_by_torch(texts, pooling)
        else:
            pooled = engine.pool(texts, [np.arange(len(text)) for text in texts])
        highest = pooled.max()
        if np.isnan(highest) or highest == np.inf:
            raise CorruptFile(f"{self.folder}: the model gives a score of {highest}")
        return [_positive(row, pooling) for row in pooled]

    def network(self) -> Any:
        """The transformers model, float32; loaded at the first call."""
        return self._load()[0]

    def run_by(self, engine: Engine, pooling: Pooling) -> None:
        """Let `engine` give the vectors of that pooling from now on."""
        self._engines[pooling] = engine

    def _engine(self, pooling: Pooling) -> Engine | None:
        """What runs the model; None for torch."""
        with self._loading:
            if pooling not in self._engines:
                weights = self.digest
                self._engines[pooling] = find_engine(self.folder, weights, pooling, self._backend)
                if self._engines[pooling] is not None:
                    self._tell_licence()
            return self._engines[pooling]

    def _pooled_by_torch(self, texts: Sequence[Sequence[int]], pooling: Pooling) -> Float32s:
        import torch

        model, head = self._load()
        ids, mask = _padded(texts, model.config.pad_token_id or 0)
        with torch.inference_mode():
            states = model.base_model(input_ids=ids, attention_mask=mask).last_hidden_state[mask]
            pooled: Float32s = head.pool(states, [len(text) for text in texts], pooling).numpy()
        return pooled

    def _tell_licence(self) -> None:
        _log.info("%s: licence: %s", self.folder, self._licence or "not stated")

    def _load(self) -> tuple[Any, Head]:
        with self._loading:
            if self._loaded is None:
                model = self._read()
                if self._backend == "kernels":
                    from .engines.integer_layers import use_integers

                    use_integers(model.base_model)
                self._loaded = model, fastest(head_of(model))
                self._tell_licence()
            return self._loaded

    def _read(self) -> Any:
        import torch
        from transformers import AutoModelForMaskedLM

        try:
            with _quiet_transformers():
                model, report = AutoModelForMaskedLM.from_pretrained(
                    self.folder,
                    dtype=torch.float32,
                    trust_remote_code=self._trust_remote_code,
                    local_files_only=not self._trust_remote_code,
                    output_loading_info=True,
                )
        except MemoryError:
            raise
        except Exception as error:  # transformers, torch and safetensors each have their own
            raise self._unloadable(error) from error
        if report["missing_keys"]:
            raise self._headless(sorted(report["missing_keys"]))
        return model.eval()

    def _unloadable(self, error: Exception) -> CorruptFile | ParameterError:
        reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        if "trust_remote_code" in str(error):
            return ParameterError(
                f"{self.folder}: this model needs code from its repository; read that code, then "
                "load it with trust_remote_code=True"
            )
        return CorruptFile(f"{self.folder}: the model cannot be loaded ({reason})")

    def _check_head(self) -> None:
        names = tensor_names(self._files)
        wanted = HEAD_WEIGHTS.get(self._config.get("model_type", ""))
        if names is not None and wanted is not None and wanted not in names:
            raise self._headless([wanted])

    def _headless(self, missing: list[str]) -> ParameterError:
        shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        return ParameterError(
            f"{self.folder}: weights are missing: {shown}; without them vectors would be random. A "
            "checkpoint with a trained masked-language-model head is needed"
        )


def _padded(texts: Sequence[Sequence[int]], filler: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids int64 and where there is text bool, both (texts, longest)."""
    import torch

    shape = (len(texts), max(map(len, texts)))
    ids = np.full(shape, filler, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.bool_)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = True
    return torch.from_numpy(ids), torch.from_numpy(mask)


def _positive(pooled: Float32s, pooling: Pooling) -> tuple[Components, Float32s]:
    """The terms of one text that have a weight."""
    components = np.flatnonzero(pooled > 0).astype(np.int32)
    return components, pooling.finish(pooled[components])


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep transformers from drawing progress bars and reports; what matters is raised instead."""
    from transformers.utils import logging as untyped

    report: Any = untyped
    level, bars = report.get_verbosity(), report.is_progress_bar_enabled()
    report.set_verbosity(logging.CRITICAL)
    report.disable_progress_bar()
    try:
        yield
    finally:
        report.set_verbosity(level)
        if bars:
            report.enable_progress_bar()
