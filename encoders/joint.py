"""Sparse and dense vectors in one pass: two models that share their lowest layers.

    layers 1 ... s  ->  the sparse model's own layers, and its head   -> sparse vector
                    ->  the dense model's layers s + 1 ... n, pooled  -> dense vector, of length 1

One model for both is the idea of Lin and Lin, "A Dense Representation Framework for Lexical and
Semantic Matching" (arXiv 2206.09912), whose heads stand on the same last layer. Here the sparse
side branches off below: the upper layers of a sentence encoder have given up the words that a
sparse head looks for, and sparse vectors alone are done sooner.

The dense model lies in a folder beside the sparse one, in transformers' layout, with the weights of
its own layers alone.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lexidex.errors import CorruptFile, ParameterError
from lexidex.index.dense import Metric
from lexidex.index.vectors import Components, Float32s, Vectors

from .base import Texts, check_texts, fingerprint_of
from .checkpoint_writer import DENSE_FOLDER
from .dense import DenseEncoder
from .json_file import read_json
from .language_model import LanguageModel, model_identity, padded
from .projection import Pooling
from .recipe import JointSpec
from .sides import BATCH_TOKENS, ModelSide, in_batches
from .weights import prefix_of, read_tensors, tensor_names, weight_files, write_safetensors

if TYPE_CHECKING:
    from .learned import LearnedEncoder
    from .transformer_layers import Tapped

JOINT = "joint"
"""The kind of a dense side that is the sparse encoder's own."""

Row = tuple[Components, Float32s]


class JointModel:
    """The layers of the dense model, over those of the sparse one. Vectors are means of states."""

    def __init__(self, spec: JointSpec, sparse: LanguageModel) -> None:
        """Join them; weights load with the first batch.

        Raises:
            CorruptFile: settings or weights of the dense model are missing.
        """
        self.spec = spec
        self._sparse = sparse
        self._loading = threading.Lock()
        self._network: Any = None
        self._upper: Any = None
        self._tap: Any = None
        settings = read_json(spec.folder / "config.json")
        width = settings.get("hidden_size") or settings.get("dim")
        if not isinstance(width, int):
            raise CorruptFile(f"{spec.folder / 'config.json'}: hidden_size: {width!r}")
        self.dim = width

    @property
    def identity(self) -> list[Any]:
        """Equal for dense models with equal settings and weights, the shared ones apart."""
        return [self.spec.shared_layers, model_identity(self.spec.folder)]

    def dense(self, texts: Sequence[Sequence[int]]) -> Float32s:
        """Dense vectors, float32 (texts, dim), of the ids of each text."""
        network = self._loaded()
        ids, mask = network.placed(*padded(texts, self._sparse.padding))
        with network.encoding():
            with self._tap.listening(alone=True) as tapped:
                network.states(ids, mask)
            return self._pooled(tapped, mask)

    def both(self, texts: Sequence[Sequence[int]], pooling: Pooling) -> list[tuple[Row, Float32s]]:
        """For each text its sparse vector, (components, values), and its dense one, (dim,)."""
        network = self._loaded()
        ids, mask = padded(texts, self._sparse.padding)
        with self._tap.listening() as tapped:
            rows = network.vectors(ids, mask, pooling)
        with network.encoding():
            dense = self._pooled(tapped, *network.placed(mask))
        return list(zip(rows, dense, strict=True))

    def _pooled(self, tapped: Tapped, mask: Any) -> Float32s:
        from torch.nn.functional import normalize

        states = tapped.through(self._upper) * mask[:, :, None]
        vectors: Float32s = normalize(states.sum(1)).float().cpu().numpy()
        if not np.isfinite(vectors).all():
            raise CorruptFile(f"{self.spec.folder}: the model gives values that are not finite")
        return vectors

    def _loaded(self) -> Any:
        """The sparse model's network, with the layers above those that are shared."""
        network = self._sparse.network()
        with self._loading:
            if self._network is not network:
                from .transformer_layers import Tap, layers_of

                lower = layers_of(network.model.base_model)
                if not 0 < self.spec.shared_layers <= len(lower):
                    raise CorruptFile(
                        f"{self.spec.folder}: shares {self.spec.shared_layers} layers of a model "
                        f"that has {len(lower)}"
                    )
                self._upper = _upper_layers(self.spec)
                self._tap = Tap(lower[self.spec.shared_layers - 1])
                self._network = network
            device = next(network.parameters()).device
            if next(self._upper.parameters()).device != device:
                self._upper.to(device)
            return network


class JointDense(DenseEncoder):
    """The dense side of a joint encoder, as hybrid search asks for it.

    Documents that are drafted within `keeping` leave their dense vectors here, so that each text
    passes through the model once.
    """

    kind: ClassVar[str] = JOINT

    def __init__(self, encoder: LearnedEncoder, side: ModelSide, model: JointModel) -> None:
        """Take the encoder whose dense side this is, its document side, and the model."""
        self._encoder = encoder
        self._side = side
        self._model = model
        self._local = threading.local()

    @property
    def dim(self) -> int:
        return self._model.dim

    @property
    def metric(self) -> Metric:
        return "cosine"

    @property
    def options(self) -> dict[str, Any]:
        return {}

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(JOINT, self._encoder.fingerprint, self._model.identity)

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep dense vectors of documents that this thread drafts meanwhile, until it asks."""
        self._local.kept = {}
        try:
            yield
        finally:
            self._local.kept = None

    @property
    def is_kept(self) -> bool:
        """Whether dense vectors are being kept for this thread."""
        return getattr(self._local, "kept", None) is not None

    def draft(self, texts: Texts) -> Vectors:
        """Sparse vectors of documents, csr_array (len(texts), terms); keeps the dense ones."""
        vectors, dense = self.encode_both(texts)
        self._local.kept.update(zip(texts, dense, strict=True))
        return vectors

    def encode_both(self, texts: Texts) -> tuple[Vectors, Float32s]:
        """Sparse vectors (len(texts), terms), not pruned, and dense ones, float32 (n, dim)."""
        vectors, found = self._side.encode_by(
            check_texts(texts), lambda batch: self._model.both(batch, self._side.pooling)
        )
        return vectors, self._joined(found)

    def encode_documents(self, texts: Texts) -> Float32s:
        checked = check_texts(texts)
        known: dict[str, Float32s] = getattr(self._local, "kept", None) or {}
        missing = [text for text in dict.fromkeys(checked) if text not in known]
        known |= dict(zip(missing, self._encode(missing), strict=True))
        return self._joined([known[text] for text in checked])

    def encode_queries(self, texts: Texts) -> Float32s:
        return self._encode(check_texts(texts))

    def _encode(self, texts: Texts) -> Float32s:
        ids = [text.ids for text in self._side.tokens(texts)]
        rows = in_batches(ids, lambda batch: list(self._model.dense(batch)), BATCH_TOKENS)
        return self._joined(rows)

    def _joined(self, rows: Sequence[Float32s | None]) -> Float32s:
        """Rows as one array; 0 for a text without tokens."""
        joined = np.zeros((len(rows), self.dim), dtype=np.float32)
        for place, row in enumerate(rows):
            if row is not None:
                joined[place] = row
        return joined


class DenseOfJoint(JointDense):
    """The dense side of a joint model beside another sparse encoder, such as bm25."""

    kind: ClassVar[str] = "dense-of-joint"

    def __init__(self, path: str) -> None:
        """Take a joint model: a folder, or the name of one that the package brings.

        Raises:
            EncoderNotFound, CorruptFile: as `load_encoder`.
            ParameterError: the model has no dense side.
        """
        from .learned import LearnedEncoder

        encoder = LearnedEncoder(path)
        own = encoder.dense_side()
        super().__init__(encoder, own._side, own._model)

    @property
    def options(self) -> dict[str, Any]:
        return {"path": self._encoder.options["path"]}


def _upper_layers(spec: JointSpec) -> Any:
    """The dense model's layers above the shared ones, in evaluation mode.

    Raises:
        CorruptFile: weights are missing.
    """
    import torch
    from transformers import AutoModel

    from .backbones import Source, read_config
    from .transformer_layers import layers_of

    untyped: Any = AutoModel
    model = untyped.from_config(read_config(Source(spec.folder)), dtype=torch.float32)
    layers = layers_of(model)
    if spec.shared_layers >= len(layers):
        raise CorruptFile(f"{spec.folder}: has {len(layers)} layers, {spec.shared_layers} shared")
    tensors = read_tensors(spec.folder, "")
    weights = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
    missing = set(model.load_state_dict(weights, strict=False).missing_keys)
    own = {
        name
        for number in range(spec.shared_layers, len(layers))
        for name, _ in model.named_parameters()
        if f".layer.{number}." in name
    }
    if missing & own:
        raise CorruptFile(f"{spec.folder}: lacks the weights {sorted(missing & own)[0]}")
    return layers[spec.shared_layers :].eval().requires_grad_(False)


def check_shared(dense: Path, shared_layers: int) -> int:
    """How many layers a dense model has; ParameterError unless some are left above the shared."""
    settings = read_json(dense / "config.json")
    count = settings.get("num_hidden_layers") or settings.get("n_layers")
    if not isinstance(count, int) or not 0 < shared_layers < count:
        raise ParameterError(f"shared_layers: {shared_layers}; {dense} has {count} layers")
    return count


def write_joint(folder: Path, dense: Path, shared_layers: int) -> JointSpec:
    """Put the upper layers of a dense model beside a sparse one.

    Args:
        folder: of the sparse model.
        dense: a dense model in transformers' layout, whose vectors are means of states.
        shared_layers: how many of its lowest layers the sparse model has, unchanged.

    Raises:
        CorruptFile: it cannot be read.
        ParameterError: it has no layers above those.
    """
    count = check_shared(dense, shared_layers)
    place = folder / DENSE_FOLDER
    place.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(dense / "config.json", place / "config.json")
    kept = tuple(f".layer.{number}." for number in range(shared_layers, count))
    weights = read_tensors(dense, prefix_of(tensor_names(weight_files(dense))))
    tensors = {
        name: tensor for name, tensor in weights.items() if any(part in name for part in kept)
    }
    write_safetensors(tensors, place / "model.safetensors")
    return JointSpec(place, shared_layers)
