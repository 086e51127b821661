"""Dense encoders on transformers: states of positions, pooled into one vector.

Vectors equal those of sentence-transformers' SentenceTransformer for the same folder.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lexidex.errors import CorruptFile, ParameterError
from lexidex.index.dense import Metric
from lexidex.index.vectors import Float32s

from .base import Texts, check_texts
from .batching import token_batches
from .dense import DenseEncoder
from .json_file import read_json
from .language_model import model_identity, padded
from .layouts.dense import DenseSpec, Strategy, read_dense
from .locating import locate
from .tokenizer import ModelTokenizer
from .weights import read_tensor, tensor_names, weight_files

if TYPE_CHECKING:
    import torch

BATCH_TOKENS = 4096
"""Tokens that pass through the model together, padding included."""


class DenseModelEncoder(DenseEncoder):
    """A dense model in a folder or on a model hub; weights load when they are first needed."""

    kind: ClassVar[str] = "model"

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        revision: str | None = None,
        pooling: str | None = None,
        max_length: int | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        """Read settings and tokenizer.

        Args:
            path: a folder in sentence-transformers' or transformers' layout, or the id of a model
                on the hub, organisation/model.
            revision: branch, tag or commit on the hub.
            pooling: "cls", "mean", "max", "mean_sqrt_len" or "lasttoken", for a folder in
                transformers' layout, which does not tell.
            max_length: most tokens of a text, special ones included; None for what the folder says.
            trust_remote_code: run code that the model's repository brings. Not among `options`.

        Raises:
            EncoderNotFound: no such folder and no such model.
            CorruptFile: a file is missing, truncated or does not belong to the others.
            ParameterError: an option out of its range, or a model of another kind.
        """
        self._place, self._revision, root = locate(path, revision, trust_remote_code)
        self._pooling, self._max_length, self._trusts = pooling, max_length, trust_remote_code
        self._spec = _limited(read_dense(root, pooling), max_length)
        self._words = {
            length: ModelTokenizer(
                self._spec.folder, max_length=length, lowercase=self._spec.lowercase
            )
            for length in {self._spec.max_length, self._spec.query_max_length}
        }
        self._layers = [_Layer(folder) for folder in self._spec.layers]
        self._loading = threading.Lock()
        self._model: Any = None
        self._device = "cpu"

    def use_device(self, device: str) -> None:
        """Compute on that device of torch's from now on."""
        with self._loading:
            self._device = device
            if self._model is not None:
                self._model.to(device)

    @property
    def dim(self) -> int:
        if self._layers:
            return int(self._layers[-1].weight.shape[0])
        config = read_json(self._spec.folder / "config.json")
        width = config.get("hidden_size") or config.get("dim")
        if not isinstance(width, int):
            raise CorruptFile(f"{self._spec.folder / 'config.json'}: hidden_size: {width!r}")
        return width * len(self._spec.pooling)

    @property
    def metric(self) -> Metric:
        return self._spec.metric

    @property
    def licence(self) -> str | None:
        """The licence that the model's card states, or None."""
        return self._spec.licence

    @property
    def trusts_remote_code(self) -> bool:
        return self._trusts

    @property
    def options(self) -> dict[str, Any]:
        return {
            "path": self._place,
            "revision": self._revision,
            "pooling": self._pooling,
            "max_length": self._max_length,
        }

    @property
    def fingerprint(self) -> str:
        """Of settings, tokenizer and every byte of the weights, but not of where they lie."""
        spec = self._spec
        described = [
            self.kind,
            [spec.pooling, spec.normalize, spec.metric, spec.prompt, spec.query_prompt],
            [words.identity for _, words in sorted(self._words.items())],
            [model_identity(folder) for folder in (spec.folder, *spec.layers)],
        ]
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:32]

    def encode_documents(self, texts: Texts) -> Float32s:
        """Document vectors, float32 (len(texts), dim).

        Raises:
            ParameterError: a text is no string.
            CorruptFile: the weights cannot be loaded.
        """
        return self._encode(check_texts(texts), self._spec.prompt, self._spec.max_length)

    def encode_queries(self, texts: Texts) -> Float32s:
        """Query vectors, float32 (len(texts), dim); see `encode_documents`."""
        spec = self._spec
        return self._encode(check_texts(texts), spec.query_prompt, spec.query_max_length)

    def _encode(self, texts: Texts, prompt: str, length: int) -> Float32s:
        ids = self._words[length].encode([prompt + text for text in texts])
        lengths = np.array([len(text) for text in ids], dtype=np.int64)
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for batch in token_batches(lengths, BATCH_TOKENS):
            vectors[batch] = self._vectors([ids[row] for row in batch])
        return vectors

    def _vectors(self, texts: Sequence[Sequence[int]]) -> Float32s:
        import torch

        model = self._loaded()
        ids, mask = (
            tensor.to(model.device) for tensor in padded(texts, model.config.pad_token_id or 0)
        )
        with torch.inference_mode():
            states = model(input_ids=ids, attention_mask=mask).last_hidden_state
            pooled = torch.cat([_pool(states, mask, name) for name in self._spec.pooling], dim=1)
            for layer in self._layers:
                pooled = layer.apply(pooled)
            if self._spec.normalize:
                pooled = torch.nn.functional.normalize(pooled)
            vectors: Float32s = pooled.float().cpu().numpy()
        if not np.isfinite(vectors).all():
            raise CorruptFile(f"{self._spec.folder}: the model gives values that are not finite")
        return vectors

    def _loaded(self) -> Any:
        with self._loading:
            if self._model is None:
                from .backbones import Source, load_backbone

                source = Source(self._spec.folder, trust_remote_code=self._trusts)
                self._model = load_backbone(source).to(self._device)
            return self._model


class _Layer:
    """A linear layer behind the pooling, and its activation."""

    def __init__(self, folder: Any) -> None:
        settings = read_json(folder / "config.json")
        self._activation = str(settings.get("activation_function", "Identity")).rpartition(".")[2]
        self.weight = read_tensor(folder, "linear.weight")
        names = tensor_names(weight_files(folder))
        has_bias = settings.get("bias", True) and (names is None or "linear.bias" in names)
        self._bias = read_tensor(folder, "linear.bias") if has_bias else None
        if self._activation not in ("Identity", "Tanh", "GELU", "ReLU", "SiLU"):
            raise ParameterError(f"{folder}: activation {self._activation!r} is not supported")

    def apply(self, vectors: torch.Tensor) -> torch.Tensor:
        import torch

        device = vectors.device
        bias = None if self._bias is None else torch.from_numpy(self._bias).to(device)
        weight = torch.from_numpy(self.weight).to(device)
        linear = torch.nn.functional.linear(vectors, weight, bias)
        activated: torch.Tensor = getattr(torch.nn, self._activation)()(linear)
        return activated


def _pool(states: torch.Tensor, mask: torch.Tensor, strategy: Strategy) -> torch.Tensor:
    """One vector a text, float (texts, width), of states (texts, length, width)."""
    if strategy == "cls":
        return states[:, 0]
    if strategy == "lasttoken":
        last = mask.sum(1) - 1  # padding stands behind the text
        return states[range(states.shape[0]), last]
    if strategy == "max":
        return states.masked_fill(~mask[:, :, None], float("-inf")).amax(1)
    counts = mask.sum(1, keepdim=True).clamp(min=1).to(states.dtype)
    total = (states * mask[:, :, None]).sum(1)
    return total / (counts if strategy == "mean" else counts.sqrt())


def _limited(spec: DenseSpec, max_length: int | None) -> DenseSpec:
    if max_length is None:
        return spec
    if isinstance(max_length, bool) or not isinstance(max_length, int) or max_length < 1:
        raise ParameterError(f"max_length: {max_length!r}; expected a whole number above 0")
    return replace(spec, max_length=max_length, query_max_length=max_length)
