"""What orders the documents that a search has found anew: which kinds there are, and by which name.

A reranker scores the candidates of one query and names the passage that each owes its score to. It
reads the collection (texts, or stored dense vectors) and changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from lexidex.documents import Document
from lexidex.encoders.attention import Attention, is_attention
from lexidex.encoders.cross_encoder import CrossEncoder
from lexidex.errors import EncoderMismatch, ParameterError
from lexidex.index.fusion import FusionParams
from lexidex.index.vectors import Float32s, Int64s

from .segment_search import Located
from .snapshot import Snapshot

RerankMethod: TypeAlias = Literal["cross-encoder", "attention"]

ATTENTION = "attention"
"""The name of attention without trained maps, which needs no folder."""


@dataclass(frozen=True)
class Rescored:
    """What a reranker says of n candidates.

    Attributes:
        scores: float32 (n,); NaN for a candidate that it cannot score.
        passages: int64 (n,), the number of the passage of each that it owes its score to.
    """

    scores: Float32s
    passages: Int64s


@runtime_checkable
class Reranker(Protocol):
    """What scores candidates anew. Safe to use from many threads."""

    @property
    def method(self) -> RerankMethod:
        """Of which kind it is."""

    @property
    def fusion(self) -> FusionParams | None:
        """How its scores are fused with the first stage's by default; None for not at all."""

    def lower(self, snapshot: Snapshot) -> float | None:
        """The least score that it can give; None where there is no such bound."""

    def check(self, snapshot: Snapshot, texts: Sequence[str | None]) -> None:
        """Raise a LexidexError unless it can score documents of this collection for such queries.

        Args:
            texts: the queries'; None for one that is given as a vector.
        """

    def score(
        self,
        snapshot: Snapshot,
        text: str | None,
        vector: Float32s | None,
        candidates: Sequence[Located],
    ) -> Rescored:
        """The scores of one query's candidates.

        Args:
            text: the query's; None where it was given as a vector.
            vector: the query's dense vector, float32 (d,), if its method is "attention".
            candidates: at least one.
        """


@dataclass(frozen=True)
class CrossEncoderReranker:
    """Reads the query beside every passage of a document, whose score is that of the best one.

    All passages are read, not only the one that the search before has named: that is the best by
    its words or its vector, and a reranker that saw it alone could never find another one better.
    """

    model: CrossEncoder
    method: ClassVar[RerankMethod] = "cross-encoder"
    fusion: ClassVar[FusionParams | None] = None

    def lower(self, snapshot: Snapshot) -> float | None:
        """See `Reranker`: logits have no bound."""
        return None

    def check(self, snapshot: Snapshot, texts: Sequence[str | None]) -> None:
        """See `Reranker`.

        Raises:
            ParameterError: a query has no text.
        """
        if any(text is None for text in texts):
            raise ParameterError(
                "rerank: a cross-encoder reads the query's text; give it as query, not a vector"
            )

    def score(
        self,
        snapshot: Snapshot,
        text: str | None,
        vector: Float32s | None,
        candidates: Sequence[Located],
    ) -> Rescored:
        """See `Reranker`.

        Raises:
            ParameterError: none of the candidates has a text.
        """
        assert text is not None
        read = [_passages(snapshot, one) for one in candidates]
        pairs = [(row, number, one) for row, some in enumerate(read) for number, one in some]
        if not pairs:
            raise ParameterError(
                "rerank: a cross-encoder reads passages, and none of the documents found has a "
                "stored text; rerank by 'attention', or store texts"
            )
        found = self.model.scores([text] * len(pairs), [one for _, _, one in pairs])
        scores = np.full(len(candidates), np.nan, dtype=np.float32)
        passages = np.array([one.passage for one in candidates], dtype=np.int64)
        for (row, number, _), score in zip(pairs, found, strict=True):
            if not score <= scores[row]:  # NaN is what nothing is compared with yet
                scores[row], passages[row] = score, number
        return Rescored(scores, passages)


@dataclass(frozen=True)
class AttentionReranker:
    """The query's vector attends over the stored vectors of all passages; see `Attention`."""

    attention: Attention = field(default_factory=Attention)
    name: str = ATTENTION
    method: ClassVar[RerankMethod] = "attention"

    @property
    def fusion(self) -> FusionParams | None:
        """See `Reranker`."""
        return self.attention.fusion

    def lower(self, snapshot: Snapshot) -> float | None:
        """See `Reranker`: no less than the least product, unless maps have changed vectors."""
        return snapshot.dense_lower_bound if self.attention.dim is None else None

    def check(self, snapshot: Snapshot, texts: Sequence[str | None]) -> None:
        """See `Reranker`.

        Raises:
            ParameterError: the collection has no dense side, no vectors, or others.
            EncoderMismatch: its vectors are those of another encoder.
        """
        side, dim = snapshot.dense_side, snapshot.dense_dim
        if side is None:
            raise ParameterError(
                f"rerank: {self.name!r} attends over stored dense vectors, but this collection has "
                "no dense side; create it with dense=, or 'lexidex index --dense'"
            )
        if dim is None:
            if snapshot.n_documents:
                raise ParameterError(
                    f"rerank: {self.name!r} attends over stored dense vectors, and no passage here "
                    "has any; index documents with theirs"
                )
            return
        if self.attention.dim not in (None, dim):
            raise ParameterError(
                f"rerank: {self.name!r} is for vectors of {self.attention.dim} dimensions; those "
                f"of this collection have {dim}"
            )
        wanted = self.attention.encoder
        if wanted and side.encoder is not None and side.encoder.fingerprint != wanted:
            raise EncoderMismatch(
                f"rerank: {self.name!r} was trained on vectors of the encoder {wanted}; this "
                f"collection's are those of {side.encoder.fingerprint}; train it on this one"
            )

    def score(
        self,
        snapshot: Snapshot,
        text: str | None,
        vector: Float32s | None,
        candidates: Sequence[Located],
    ) -> Rescored:
        """See `Reranker`."""
        assert vector is not None
        scores = np.full(len(candidates), np.nan, dtype=np.float32)
        passages = np.array([one.passage for one in candidates], dtype=np.int64)
        for number in sorted({one.segment for one in candidates}):
            rows = np.flatnonzero([one.segment == number for one in candidates])
            documents = np.array(
                [candidates[row].document for row in rows.tolist()], dtype=np.int64
            )
            segment = snapshot.segments[number]
            if segment.dense is None:
                continue
            vectors, places = segment.dense.rows_of(segment.passages.of(documents))
            counts = segment.passages.counts[documents]
            firsts = np.concatenate([[0], np.cumsum(counts)])
            starts = np.searchsorted(places, firsts)
            found = self.attention.scores(vector, vectors, starts)
            scores[rows] = found.scores
            some = np.flatnonzero(found.best >= 0)
            passages[rows[some]] = places[found.best[some]] - firsts[some]
        return Rescored(scores, passages)


class Rerankers:
    """Rerankers by name, each loaded when it is first asked for. Safe to use from many threads."""

    def __init__(self) -> None:
        """None is loaded yet."""
        self._loaded: dict[str, Reranker] = {}
        self._loading = threading.Lock()

    def get(self, name: str | PathLike[str]) -> Reranker:
        """The reranker of that name; see `load_reranker`."""
        key = fspath(name)
        with self._loading:
            if key not in self._loaded:
                self._loaded[key] = load_reranker(key)
            return self._loaded[key]


def load_reranker(name: str | PathLike[str]) -> Reranker:
    """The reranker of that name.

    Args:
        name: "attention", a folder that `Attention.save` or `lexidex train-attention` wrote, or the
            folder or hub id of a cross-encoder.

    Raises:
        EncoderNotFound: none of these.
        CorruptFile: it cannot be loaded.
    """
    key = fspath(name)
    if key == ATTENTION:
        return AttentionReranker()
    if is_attention(Path(key)):
        return AttentionReranker(Attention.load(key), key)
    return CrossEncoderReranker(CrossEncoder(key))


def _passages(snapshot: Snapshot, located: Located) -> list[tuple[int, str]]:
    """Number and text of a document's passages, with the title in front; those without text not."""
    segment = snapshot.segments[located.segment]
    found = segment.documents.fetch(located.document, ("title", "text"))
    document = Document("", found["text"] or "", found["title"])
    first, end = segment.passages.starts[located.document : located.document + 2].tolist()
    spans = segment.passages.spans[first:end].tolist()
    read = [document.read(document.text[start:stop]) for start, stop in spans]
    return [(number, text) for number, text in enumerate(read) if text]
