"""Learned sparse encoders: published checkpoints, each side put together by its recipe.

`lexidex.encoders.recipe` tells what sides are made of, `lexidex.encoders.presets` which published
method is which choice. Vectors of SPLADE's family equal those of sentence-transformers'
SparseEncoder for the same checkpoint.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Self

from lexidex.errors import ParameterError
from lexidex.index.vectors import Float32s, Vectors

from .activations import check_activation
from .assembly import Assembly
from .base import Encoder, Statistics, Texts, check_texts, fingerprint_of
from .checkpoint import read_checkpoint
from .checkpoint_writer import write_checkpoint
from .collection_idf import check_exponent
from .engines.engine import check_backend
from .joint import JointDense, JointModel
from .layouts.own import read_words, write_words
from .layouts.settings import is_count
from .locating import locate
from .presets import apply_preset
from .projection import check_pooling
from .pruning import as_pruning, prune
from .recipe import VOCABULARY_HEADS, Checkpoint, SideSpec
from .sides import BATCH_TOKENS, ModelSide, Side
from .splitting import Spans
from .terms import distinct_words
from .vocabulary import Vocabulary


@dataclass(frozen=True)
class Overrides:
    """Settings that are used instead of a checkpoint's own; None leaves that."""

    preset: str | None = None
    activation: str | None = None
    pooling: str | None = None
    max_length: int | None = None
    query_max_length: int | None = None
    document_pruning: dict[str, Any] | None = None
    query_pruning: dict[str, Any] | None = None
    collection_idf: float | None = None

    def __post_init__(self) -> None:
        if self.activation is not None:
            check_activation(self.activation)
        if self.pooling is not None:
            check_pooling(self.pooling)
        if self.collection_idf is not None:
            check_exponent(self.collection_idf)
        for name in ("max_length", "query_max_length"):
            length = getattr(self, name)
            if length is not None and not is_count(length):
                raise ParameterError(f"{name}: {length!r}; expected a whole number above 0")

    def apply(self, checkpoint: Checkpoint) -> Checkpoint:
        """The checkpoint with these settings in force.

        Raises:
            ParameterError: a setting that the model does not allow, or one that is missing.
        """
        if self.preset is not None:
            checkpoint = apply_preset(checkpoint, self.preset)
        elif checkpoint.undecided is not None and self.activation is None:
            raise ParameterError(f"{checkpoint.folder}: {checkpoint.undecided}")
        name = "query_max_length"
        if self.query_max_length is None and checkpoint.queries.recipe.has_model:
            name = "max_length"
        queries = self._changed(checkpoint.queries, name, self.query_pruning)
        if self.collection_idf is not None:
            queries = queries.with_recipe(collection_idf=self.collection_idf)
        return replace(
            checkpoint,
            documents=self._changed(checkpoint.documents, "max_length", self.document_pruning),
            queries=queries,
            undecided=None,
        )

    def _changed(self, side: SideSpec, name: str, pruning: dict[str, Any] | None) -> SideSpec:
        """A side with the length of that name."""
        length: int | None = getattr(self, name)
        if length is not None and side.positions is not None and length > side.positions:
            raise ParameterError(
                f"{name}: {length!r}; the model in {side.folder} takes {side.positions} tokens"
            )
        changes: dict[str, Any] = {}
        if side.recipe.head in VOCABULARY_HEADS:
            changes["pooling"] = self.pooling or side.recipe.pooling
            changes["activation"] = self.activation or side.recipe.activation
        if pruning is not None:
            changes["pruning"] = as_pruning(pruning)
        return replace(side.with_recipe(**changes), max_length=length or side.max_length)


class LearnedEncoder(Encoder):
    """An encoder from a published checkpoint, in a folder or on a model hub."""

    kind: ClassVar[str] = "learned"
    has_licence = True

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        revision: str | None = None,
        query_path: str | PathLike[str] | None = None,
        query_revision: str | None = None,
        preset: str | None = None,
        activation: str | None = None,
        pooling: str | None = None,
        max_length: int | None = None,
        query_max_length: int | None = None,
        document_pruning: Any = None,
        query_pruning: Any = None,
        collection_idf: float | None = None,
        expansion_delimiter: str | None = None,
        batch_tokens: int = BATCH_TOKENS,
        backend: str = "auto",
        trust_remote_code: bool = False,
    ) -> None:
        """Read settings and tokenizers; the model's weights load when it is first needed.

        What is None is as the checkpoint says.

        Args:
            path: a folder in any layout of `lexidex.encoders.checkpoint`, or the id of a model on
                the hub, organisation/model.
            revision: branch, tag or commit on the hub.
            query_path: a second checkpoint, whose query side is taken: efficient SPLADE.
            query_revision: branch, tag or commit of that.
            preset: the published method, see `lexidex.encoders.presets`, where files do not tell.
            activation: of heads that score the vocabulary, see `lexidex.encoders.activations`.
            pooling: of those, "max", "sum" or "cls".
            max_length: most tokens of a document, special ones included; of a query too where the
                same model encodes it and `query_max_length` is None.
            query_max_length: most tokens of a query.
            document_pruning: which values of documents are kept, see `lexidex.encoders.pruning`:
                {"top_k": 200} or "top_k=200".
            query_pruning: which values of queries are kept.
            collection_idf: how far query weights from a table are drawn towards the collection that
                is searched, from 0 to 1; see `lexidex.encoders.collection_idf`.
            expansion_delimiter: what stands in a document between its text and its expansion, for
                scalar heads; see `lexidex.encoders.terms`.
            batch_tokens: tokens that pass through the model together; memory grows with it.
            backend: what runs the model, see `lexidex.encoders.engines.engine.BACKENDS`. Vectors by
                integers differ a little; the fingerprint does not.
            trust_remote_code: run code that the model's repository brings. Not among `options`,
                so that no stored collection can ask for it: `Collection.open` is told anew.

        Raises:
            EncoderNotFound: no such folder and no such model.
            CorruptFile: a file is missing, truncated or does not belong to the others.
            ParameterError: an option out of its range or missing, or a model of another kind.
        """
        if not is_count(batch_tokens):
            raise ParameterError(f"batch_tokens: {batch_tokens!r}; expected a whole number above 0")
        self._overrides = Overrides(
            preset,
            activation,
            pooling,
            max_length,
            query_max_length,
            _rules(document_pruning, "document_pruning"),
            _rules(query_pruning, "query_pruning"),
            collection_idf,
        )
        self._statistics: Statistics | None = None
        self._delimiter = expansion_delimiter
        self._batch_tokens = batch_tokens
        self._backend = check_backend(backend)
        self._trusts = trust_remote_code
        self._place, self._revision, folder = locate(path, revision, trust_remote_code)
        checkpoint = read_checkpoint(folder, _folder_of)
        self._query_place = self._query_revision = None
        if query_path is not None:
            names = "query_path", "query_revision"
            where = locate(query_path, query_revision, trust_remote_code, names)
            self._query_place, self._query_revision, folder = where
            checkpoint = replace(checkpoint, queries=read_checkpoint(folder, _folder_of).queries)
        self._checkpoint = self._overrides.apply(checkpoint)
        self._assembly = Assembly(
            self._checkpoint, expansion_delimiter, batch_tokens, trust_remote_code, backend
        )
        self.use_vocabulary(Vocabulary(read_words(self._checkpoint.folder)))

        self._joint = self._join()

    def _join(self) -> JointDense | None:
        """The dense side, where the checkpoint has one."""
        spec, side = self._checkpoint.joint, self._documents
        if spec is None or not isinstance(side, ModelSide):
            return None
        return JointDense(self, side, JointModel(spec, side.model))

    def use_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Take the vocabulary of a collection, where terms are words."""
        self._documents, self._queries = self._assembly.sides(vocabulary)
        if self._checkpoint.documents.recipe.terms == "words":
            self.vocabulary = vocabulary

    @property
    def documents(self) -> Side:
        """The document side; `module` of it is a torch module for training."""
        return self._documents

    @property
    def queries(self) -> Side:
        """The query side; the same object where both do the same."""
        return self._queries

    @property
    def checkpoint(self) -> Checkpoint:
        """What the encoder is put together from, settings in force included."""
        return self._checkpoint

    @property
    def dim(self) -> int:
        return self._documents.dim

    @property
    def idf_exponent(self) -> float:
        return self._checkpoint.queries.recipe.collection_idf

    @property
    def name(self) -> str:
        return self._place if self._revision else Path(self._place).name

    @property
    def licence(self) -> str | None:
        """The licence that the model's card states, or None."""
        return self._checkpoint.licence

    @property
    def trusts_remote_code(self) -> bool:
        return self._trusts

    @property
    def options(self) -> dict[str, Any]:
        return {
            "path": self._place,
            "revision": self._revision,
            "query_path": self._query_place,
            "query_revision": self._query_revision,
            **asdict(self._overrides),
            "expansion_delimiter": self._delimiter,
            "batch_tokens": self._batch_tokens,
            "backend": self._backend,
        }

    @property
    def fingerprint(self) -> str:
        """Of settings, tokenizers and every byte of the weights, but not of where they lie."""
        sides = [self._documents.identity, self._queries.identity]
        specs = (self._checkpoint.documents, self._checkpoint.queries)
        kept = [spec.recipe.pruning.options for spec in specs]
        return fingerprint_of(self.kind, *sides, *kept)

    def term(self, component: int) -> str:
        """The token with that id, as the tokenizer writes it: word, ##piece, or Ġword."""
        if self.vocabulary is not None:
            return self.vocabulary.terms[component]
        token = self._documents.tokenizer.token(component)
        return f"<{component}>" if token is None else token

    def component(self, term: str) -> int | None:
        if self.vocabulary is not None:
            return self.vocabulary.find(term)
        return self._documents.tokenizer.id(term)

    @property
    def reads_whole(self) -> bool:
        return self._delimiter is not None

    @property
    def max_tokens(self) -> int | None:
        return self._documents.tokenizer.room(self._checkpoint.documents.prompt)

    def token_spans(self, text: str) -> Spans:
        return self._documents.tokenizer.spans(text)

    def devices(self) -> list[str]:
        import torch

        return [f"cuda:{number}" for number in range(torch.cuda.device_count())] or ["cpu"]

    def use_device(self, device: str) -> None:
        if device != "cpu":
            gpus = [gpu for gpu in self.devices() if gpu != "cpu"]
            if device not in (*gpus, *("cuda" for _ in gpus[:1])):
                known = ", ".join(["cpu", *gpus])
                raise ParameterError(f"device: {device!r}; this machine has {known}")
        self._assembly.use_device(device)

    def encode_documents(self, texts: Texts) -> Vectors:
        """Document vectors, csr_array (len(texts), dim).

        Texts longer than `max_length` tokens are cut off there. The order and the company of the
        texts change no vector by more than rounding.

        Raises:
            ParameterError: a text is no string; the model lacks its head.
            CorruptFile: the weights cannot be loaded.
        """
        found = self._documents.encode(check_texts(texts))
        return prune(found, self._checkpoint.documents.recipe.pruning)

    def encode_joint(self, texts: Texts) -> tuple[Vectors, Float32s]:
        """Document vectors and dense ones in one pass: csr_array (n, dim), float32 (n, d).

        Raises:
            ParameterError: the model has no dense side; else see `encode_documents`.
        """
        vectors, dense = self.dense_side().encode_both(texts)
        return prune(vectors, self._checkpoint.documents.recipe.pruning), dense

    def dense_side(self) -> JointDense:
        """The dense side of a joint model.

        Raises:
            ParameterError: the model has none.
        """
        if self._joint is None:
            raise ParameterError(f"{self._place}: this model has no dense side of its own")
        return self._joint

    def draft_documents(self, texts: Texts) -> Vectors:
        """As `encode_documents`; a dense side in use gets its vectors from the same pass."""
        if self._joint is None or not self._joint.is_kept:
            return self.encode_documents(texts)
        return prune(self._joint.draft(texts), self._checkpoint.documents.recipe.pruning)

    def encode_queries(self, texts: Texts) -> Vectors:
        """Query vectors, csr_array (len(texts), dim); see `encode_documents`."""
        found = self._queries.encode(check_texts(texts))
        idf = getattr(self._queries, "collection_idf", None)
        if idf is not None and self._statistics is not None:
            found = idf.weighed(found, self._statistics)
        return prune(found, self._checkpoint.queries.recipe.pruning)

    def bind(self, statistics: Statistics) -> Self:
        """Itself, or where query weights depend on the collection, a copy that takes them so."""
        if not self.idf_exponent:
            return self
        bound = copy.copy(self)
        bound._statistics = statistics
        return bound

    def ignored_terms(self, text: str) -> list[str]:
        if self.vocabulary is None:
            return []
        words = distinct_words(self._queries.tokenizer, text)
        return [word for word in words if self.vocabulary.find(word) is None]

    def save(self, path: str | PathLike[str], *, packed: bool = False) -> None:
        """Write a folder that `load_encoder` loads.

        sentence-transformers' SparseEncoder loads it too, if it has a class for what the model
        does. Weights that were trained since they were loaded are written as they are now, and so
        are those that an adapter changed.

        Args:
            path: of the folder.
            packed: leave packed weights packed (see `lexidex.encoders.packing`), which keeps the
                fingerprint; others then cannot read them.
        """
        tables = {
            route: side.table
            for route, side in (("document", self._documents), ("query", self._queries))
            if side.table is not None
        }
        write_checkpoint(
            self._checkpoint, path, self.dim, tables, self._assembly.models(), packed=packed
        )
        if self.vocabulary is not None:
            write_words(Path(path), self.vocabulary.terms)


def _rules(given: Any, where: str) -> dict[str, Any] | None:
    return None if given is None else as_pruning(given, where).options


def _folder_of(name: str, revision: str | None) -> Path:
    """The folder of a model that another one builds on."""
    return locate(name, revision, False)[2]
