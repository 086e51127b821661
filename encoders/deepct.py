"""DeepCT: term weights that a model has learned, in the place of term frequencies.

    tf(t, d) = round(100 * y_t),    y_t = a . h_i + b,  the largest of the places i of word t in d

(Dai and Callan, arXiv 1910.10687; a word's place is that of its first token, and y was trained to
be its recall.) Documents may bring such frequencies, {word: tf}, as they are published, or a model
makes them of their text. Either BM25 weighs them (`weighting="bm25"`, with the parameters that its
authors found), or they are the documents' vectors themselves (`"weights"`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike, fspath
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lexidex.errors import ParameterError
from lexidex.index.vectors import Vectors, build_vectors

from .analysis import words
from .base import Statistics, Texts, fingerprint_of
from .bm25 import BM25Encoder
from .learned import LearnedEncoder
from .splitting import Spans

WEIGHTINGS = ("bm25", "weights")

SCALE = 100
"""Frequencies are weights times this, rounded."""


class DeepCTEncoder(BM25Encoder):
    """BM25 over learned term frequencies."""

    kind: ClassVar[str] = "deepct"
    takes_weights: ClassVar[bool] = True

    def __init__(
        self,
        path: str | PathLike[str] | None = None,
        *,
        revision: str | None = None,
        weighting: str = "bm25",
        k1: float = 10.0,
        b: float = 0.9,
        language: str = "english",
        stop_words: Iterable[str] | None = None,
        max_length: int | None = None,
    ) -> None:
        """Make an encoder that knows no documents yet.

        Args:
            path: a checkpoint that weighs words, such as `create("deepct", ...)` makes; None where
                every document brings its frequencies.
            revision: branch, tag or commit, where it is on the hub.
            weighting: "bm25", or "weights" for frequencies as they are.
            k1: see `BM25Encoder`; its authors' value for MS MARCO.
            b: as well.
            language: as well; words that documents bring pass through the same analysis.
            stop_words: as well.
            max_length: most tokens of a document that the model reads.

        Raises:
            ParameterError: one of them is out of its range, or the checkpoint weighs no words.
        """
        if weighting not in WEIGHTINGS:
            raise ParameterError(f"weighting: {weighting!r}; known are {', '.join(WEIGHTINGS)}")
        super().__init__(k1, b, language, stop_words)
        self.weighting = weighting
        self._max_length = max_length
        self._model: LearnedEncoder | None = None
        if path is not None:
            self._model = LearnedEncoder(path, revision=revision, max_length=max_length)
            if self._model.vocabulary is None:
                raise ParameterError(f"path: {fspath(path)!r} weighs tokens, not words")
        self.costly = self.has_licence = self._model is not None

    @property
    def licence(self) -> str | None:
        return None if self._model is None else self._model.licence

    @property
    def options(self) -> dict[str, Any]:
        of_model = {} if self._model is None else self._model.options
        where = {name: of_model.get(name) for name in ("path", "revision")}
        ours = {"weighting": self.weighting, "max_length": self._max_length}
        return where | ours | super().options

    @property
    def fingerprint(self) -> str:
        """Of the settings and of every byte of the model's weights, but not of where they lie."""
        model = None if self._model is None else self._model.fingerprint
        described = {**self.options, "path": model}
        del described["revision"]
        return fingerprint_of(self.kind, described)

    @property
    def max_tokens(self) -> int | None:
        """Those that the model reads; None where documents bring their frequencies."""
        return None if self._model is None else self._model.max_tokens

    def token_spans(self, text: str) -> Spans:
        return super().token_spans(text) if self._model is None else self._model.token_spans(text)

    def devices(self) -> list[str]:
        return super().devices() if self._model is None else self._model.devices()

    def use_device(self, device: str) -> None:
        if self._model is None:
            super().use_device(device)
        else:
            self._model.use_device(device)

    def weights_of_words(self, weights: Mapping[str, float]) -> dict[str, float]:
        """Frequencies of words as those of terms: analysed, and those of one term added up."""
        terms: dict[str, float] = {}
        for text, weight in weights.items():
            for word in words(text):
                term = self.analyzer.term(word)
                if term is not None:
                    terms[term] = terms.get(term, 0.0) + weight
        return terms

    def draft_documents(self, texts: Texts) -> Vectors:
        """Learned frequencies of terms, csr_array (len(texts), dim).

        Raises:
            ParameterError: there is no model that could make them.
        """
        if self._model is None:
            raise ParameterError(
                'deepct: no model: give each document its frequencies as "vector", or the encoder '
                "the path of a model"
            )
        found = self._model.encode_documents(texts)
        rows = []
        for first, last in zip(found.indptr[:-1], found.indptr[1:], strict=True):
            frequencies = np.rint(found.data[first:last] * SCALE)
            named = map(self._model.term, found.indices[first:last].tolist())
            terms = self.weights_of_words(dict(zip(named, frequencies.tolist(), strict=True)))
            kept = sorted((self.vocabulary.add(term), tf) for term, tf in terms.items() if tf > 0)
            rows.append(([component for component, _ in kept], [tf for _, tf in kept]))
        return build_vectors(rows, self.dim)

    def finish_documents(self, drafts: Vectors, average_length: float) -> Vectors:
        """Frequencies, weighed by BM25 or as they are."""
        if self.weighting == "weights":
            return drafts
        return super().finish_documents(drafts, average_length)

    def warm_up(self) -> None:
        """Nothing to do: queries need no model."""

    def _idf(self, components: NDArray[np.int32], statistics: Statistics) -> NDArray[np.float64]:
        if self.weighting == "weights":
            return np.ones(components.size)
        return super()._idf(components, statistics)
