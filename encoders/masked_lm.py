"""Learned sparse encoders on masked language models: SPLADE and its family.

    w_j = max over positions i of  log(1 + ReLU(z_ij)),   z = scores of the language-model head

Documents, and queries unless a table weighs them, pass through a model that was trained to score
the whole vocabulary at every position; the best scores become the vector (SPLADE v2,
arXiv 2109.10086; sum pooling: v1, arXiv 2107.05720; tables: arXiv 2411.04403). Vectors equal those
of sentence-transformers' SparseEncoder for the same checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any, ClassVar

from lexidex.errors import CorruptFile, ParameterError
from lexidex.index.vectors import Vectors

from .activations import check_activation
from .base import Encoder, Texts, check_texts
from .checkpoint import Checkpoint, ModelSpec, TableSpec, read_checkpoint
from .checkpoint_writer import write_checkpoint
from .engines.engine import check_backend
from .hub import fetch, looks_like_hub_id
from .language_model import LanguageModel
from .projection import Pooling, check_pooling
from .sides import BATCH_TOKENS, ModelSide, Side
from .static import StaticSide, read_table
from .tokenizer import ModelTokenizer


@dataclass(frozen=True)
class Overrides:
    """Settings that are used instead of a checkpoint's own; None leaves that."""

    activation: str | None = None
    pooling: str | None = None
    max_length: int | None = None
    query_max_length: int | None = None

    def __post_init__(self) -> None:
        if self.activation is not None:
            check_activation(self.activation)
        if self.pooling is not None:
            check_pooling(self.pooling)
        for name in ("max_length", "query_max_length"):
            length = getattr(self, name)
            if length is not None and not _is_count(length):
                raise ParameterError(f"{name}: {length!r}; expected a whole number above 0")

    def apply(self, checkpoint: Checkpoint) -> Checkpoint:
        """The checkpoint with these settings in force."""
        documents, queries = checkpoint.documents, checkpoint.queries
        query_length = self.query_max_length
        if query_length is None and isinstance(queries, ModelSpec):
            query_length = self.max_length
        return replace(
            checkpoint,
            documents=self._changed(documents, self.max_length),
            queries=self._changed(queries, query_length),
        )

    def _changed(self, spec: ModelSpec | TableSpec, length: int | None) -> ModelSpec | TableSpec:
        if isinstance(spec, TableSpec):
            return replace(spec, max_length=length or spec.max_length)
        if length is not None and spec.positions is not None and length > spec.positions:
            raise ParameterError(
                f"max_length: {length!r}; the model in {spec.folder} takes {spec.positions} tokens"
            )
        pooling = Pooling(
            self.pooling or spec.pooling.strategy, self.activation or spec.pooling.activation
        )
        return replace(spec, max_length=length or spec.max_length, pooling=pooling)


class MaskedLMEncoder(Encoder):
    """An encoder from a published checkpoint, in a folder or on a model hub."""

    kind: ClassVar[str] = "masked-lm"

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        revision: str | None = None,
        activation: str | None = None,
        pooling: str | None = None,
        max_length: int | None = None,
        query_max_length: int | None = None,
        batch_tokens: int = BATCH_TOKENS,
        backend: str = "auto",
        trust_remote_code: bool = False,
    ) -> None:
        """Read settings and tokenizers; the model's weights load when it is first needed.

        What is None is as the checkpoint says.

        Args:
            path: a folder in sentence-transformers' or transformers' layout, or the id of a model
                on the hub, organisation/model.
            revision: branch, tag or commit on the hub.
            activation: "relu" or "log1p_relu".
            pooling: "max" or "sum".
            max_length: most tokens of a document, special ones included; of a query too where the
                same model encodes it and `query_max_length` is None.
            query_max_length: most tokens of a query.
            batch_tokens: tokens that pass through the model together; memory grows with it.
            backend: what runs the model, see `lexidex.encoders.engines.engine.BACKENDS`. Vectors by
                integers differ a little; the fingerprint does not.
            trust_remote_code: run code that the model's repository brings. Not among `options`,
                so that no stored collection can ask for it.

        Raises:
            EncoderNotFound: no such folder and no such model.
            CorruptFile: a file is missing, truncated or does not belong to the others.
            ParameterError: an option out of its range, or a model of another kind.
        """
        if not _is_count(batch_tokens):
            raise ParameterError(f"batch_tokens: {batch_tokens!r}; expected a whole number above 0")
        self._place, self._revision, folder = _locate(fspath(path), revision, trust_remote_code)
        self._overrides = Overrides(activation, pooling, max_length, query_max_length)
        self._batch_tokens = batch_tokens
        self._backend = check_backend(backend)
        self._checkpoint = self._overrides.apply(read_checkpoint(folder))
        self._models: dict[Path, LanguageModel] = {}
        self._documents, self._queries = self._sides(trust_remote_code)

    @property
    def folder(self) -> Path:
        """Where the checkpoint lies."""
        return self._checkpoint.folder

    @property
    def documents(self) -> Side:
        """The document side."""
        return self._documents

    @property
    def queries(self) -> Side:
        """The query side; the same object where both do the same."""
        return self._queries

    @property
    def dim(self) -> int:
        return self._documents.dim

    @property
    def licence(self) -> str | None:
        """The licence that the model's card states, or None."""
        return self._checkpoint.licence

    @property
    def options(self) -> dict[str, Any]:
        return {
            "path": self._place,
            "revision": self._revision,
            **asdict(self._overrides),
            "batch_tokens": self._batch_tokens,
            "backend": self._backend,
        }

    @property
    def fingerprint(self) -> str:
        """Of settings, tokenizers and every byte of the weights, but not of where they lie."""
        described = json.dumps(
            [self.kind, self._documents.identity, self._queries.identity], sort_keys=True
        )
        return hashlib.sha256(described.encode()).hexdigest()[:32]

    def term(self, component: int) -> str:
        """The token with that id, as the tokenizer writes it: word, ##piece, or Ġword."""
        token = self._documents.tokenizer.token(component)
        return f"<{component}>" if token is None else token

    def component(self, term: str) -> int | None:
        return self._documents.tokenizer.id(term)

    def encode_documents(self, texts: Texts) -> Vectors:
        """Document vectors, csr_array (len(texts), dim).

        Texts longer than `max_length` tokens are cut off there. The order and the company of the
        texts change no vector by more than rounding.

        Raises:
            ParameterError: a text is no string; the model lacks its language-model head.
            CorruptFile: the weights cannot be loaded.
        """
        return self._documents.encode(check_texts(texts))

    def encode_queries(self, texts: Texts) -> Vectors:
        """Query vectors, csr_array (len(texts), dim); see `encode_documents`."""
        return self._queries.encode(check_texts(texts))

    def save(self, path: str | PathLike[str]) -> None:
        """Write a folder that `load_encoder` and sentence-transformers' SparseEncoder load."""
        write_checkpoint(self._checkpoint, path, self.dim)

    def _sides(self, trust_remote_code: bool) -> tuple[Side, Side]:
        """The document and the query side; one object where they do the same."""
        documents = self._side(self._checkpoint.documents, None, trust_remote_code)
        if self._checkpoint.queries == self._checkpoint.documents:
            return documents, documents
        queries = self._side(self._checkpoint.queries, documents.dim, trust_remote_code)
        if queries.dim != documents.dim:
            raise CorruptFile(
                f"{self._checkpoint.folder}: documents have {documents.dim} terms, queries "
                f"{queries.dim}; they do not belong together"
            )
        return documents, queries

    def _side(self, spec: ModelSpec | TableSpec, dim: int | None, trust_remote_code: bool) -> Side:
        if isinstance(spec, TableSpec):
            words = ModelTokenizer(spec.folder, max_length=spec.max_length, special_tokens=False)
            return StaticSide(words, read_table(spec.folder, spec.table, words), dim, spec.prompt)
        words = ModelTokenizer(spec.folder, max_length=spec.max_length, lowercase=spec.lowercase)
        if spec.folder not in self._models:
            self._models[spec.folder] = LanguageModel(
                spec.folder,
                trust_remote_code=trust_remote_code,
                licence=self.licence,
                backend=self._backend,
            )
        return ModelSide(
            self._models[spec.folder], words, spec.pooling, spec.prompt, self._batch_tokens
        )


def _locate(
    name: str, revision: str | None, trust_remote_code: bool
) -> tuple[str, str | None, Path]:
    """Where a model is, the commit that was taken of a hub's, and the folder that holds it."""
    folder = Path(os.path.abspath(name))
    if folder.is_dir() or not looks_like_hub_id(name):
        if revision is not None:
            raise ParameterError(f"revision: {revision!r}; {name!r} is a folder and has none")
        return str(folder), None, folder
    folder = fetch(name, revision, code=trust_remote_code)
    return name, folder.name, folder


def _is_count(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number > 0
