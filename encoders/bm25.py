"""BM25 as an encoder of sparse vectors, with Lucene's analysis and formula.

    score(q, d) = sum over t in q of  qtf * idf(t)  *  tf / (tf + k1 (1 - b + b |d| / avgdl))
    idf(t)      = ln(1 + (N - df + 0.5) / (df + 0.5))

The first factor is the query vector, the second the document vector. (Robertson and Zaragoza
2009; the constant factor k1 + 1 is left out, as Lucene does since version 8. Unlike Lucene, |d| is
not rounded to one byte.)
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from lexidex.errors import ParameterError
from lexidex.index.vectors import Vectors, csr, stack

from .analysis import Analyzer, word_places, words
from .base import Encoder, Statistics, Texts, check_texts
from .saved import write_description
from .splitting import Spans, as_spans
from .vocabulary import Vocabulary

_BATCH = 1024


@dataclass(frozen=True)
class FittedStatistics:
    """Document frequencies counted by `BM25Encoder.fit`."""

    n_documents: int
    frequencies: NDArray[np.int64]

    def document_frequencies(self, components: NDArray[np.int32]) -> NDArray[np.int64]:
        """For each component, how many of the fitted documents have it."""
        known = components < self.frequencies.size
        found = np.zeros(components.shape, dtype=np.int64)
        found[known] = self.frequencies[components[known]]
        return found


class BM25Encoder(Encoder):
    """BM25 with a vocabulary that grows with the documents."""

    kind: ClassVar[str] = "bm25"
    needs_statistics: ClassVar[bool] = True
    costly = False
    vocabulary: Vocabulary

    def __init__(
        self,
        k1: float = 0.9,
        b: float = 0.4,
        language: str = "english",
        stop_words: Iterable[str] | None = None,
    ) -> None:
        """Make an encoder that knows no documents yet.

        Args:
            k1: saturation of the term frequency, above 0 and finite.
            b: strength of the length normalisation, in [0, 1].
            language: stemmer, see `Analyzer`.
            stop_words: words to leave out; None takes the language's default.

        Raises:
            ParameterError: one of them is out of its range.
        """
        if not isinstance(k1, int | float) or not 0 < k1 < math.inf:
            raise ParameterError(f"k1: {k1!r}; expected a finite number above 0")
        if not isinstance(b, int | float) or not 0 <= b <= 1:
            raise ParameterError(f"b: {b!r}; expected a number from 0 to 1")
        if isinstance(stop_words, str):
            raise ParameterError(f"stop_words: {stop_words!r}; expected a list of words")
        chosen = None if stop_words is None else frozenset(stop_words)
        self.k1, self.b = float(k1), float(b)
        self.analyzer = Analyzer(language, chosen)
        self._stop_words = chosen
        self.average_length: float | None = None
        self.statistics: Statistics | None = None
        self.use_vocabulary(Vocabulary())

    def use_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Take the vocabulary of a collection as this encoder's own."""
        self.vocabulary = vocabulary
        self._components = _ComponentsOfWords(self.analyzer, vocabulary)

    @property
    def dim(self) -> int:
        return len(self.vocabulary)

    @property
    def options(self) -> dict[str, Any]:
        chosen = None if self._stop_words is None else sorted(self._stop_words)
        return {
            "k1": self.k1,
            "b": self.b,
            "language": self.analyzer.language,
            "stop_words": chosen,
        }

    def term(self, component: int) -> str:
        return self.vocabulary.terms[component]

    def component(self, term: str) -> int | None:
        return self.vocabulary.find(term)

    def fit(self, texts: Iterable[str]) -> Self:
        """Count document frequencies and the average length; extends the vocabulary."""
        if isinstance(texts, str):
            check_texts(texts)
        n_documents, total = 0, 0.0
        frequencies = np.zeros(0, dtype=np.int64)
        for batch in _batches(texts):
            drafts = self.draft_documents(batch)
            counted = np.bincount(drafts.indices, minlength=self.dim)
            counted[: frequencies.size] += frequencies
            frequencies = counted
            n_documents += len(batch)
            total += float(drafts.data.sum(dtype=np.float64))
        self.average_length = total / max(n_documents, 1)
        self.statistics = FittedStatistics(n_documents, frequencies)
        return self

    def draft_documents(self, texts: Texts) -> Vectors:
        """Term frequencies, csr_array (len(texts), dim); new terms extend the vocabulary."""
        texts = check_texts(texts)
        rows, components = [], []
        for row, text in enumerate(texts):
            found = [self._components[word] for word in words(text)]
            components += found
            rows += [row] * len(found)
        keys = np.array(rows, dtype=np.int64) << 31 | np.array(components, dtype=np.int64)
        keys = keys[np.array(components, dtype=np.int64) >= 0]
        distinct, frequencies = np.unique(keys, return_counts=True)
        indptr = np.searchsorted(distinct >> 31, np.arange(len(texts) + 1)).astype(np.int64)
        ids = (distinct & (2**31 - 1)).astype(np.int32)
        return csr(frequencies.astype(np.float32), ids, indptr, self.dim)

    def finish_documents(self, drafts: Vectors, average_length: float) -> Vectors:
        """Term frequencies, saturated and normalised by length; shares the drafts' components."""
        lengths = np.add.reduceat(np.append(drafts.data, 0.0), drafts.indptr[:-1])
        lengths[np.diff(drafts.indptr) == 0] = 0.0
        damping = self.k1 * (1 - self.b + self.b * lengths / max(average_length, 1e-9))
        per_posting = np.repeat(damping.astype(np.float32), np.diff(drafts.indptr))
        values = drafts.data / (drafts.data + per_posting)
        return csr(values.astype(np.float32), drafts.indices, drafts.indptr, drafts.shape[1])

    def encode_documents(self, texts: Texts) -> Vectors:
        """Document vectors weighed by the fitted average length.

        Raises:
            ParameterError: `fit` was not called.
        """
        if self.average_length is None:
            raise ParameterError(
                "bm25 weighs documents by their average length: call fit(texts) first"
            )
        batches = [self.draft_documents(batch) for batch in _batches(check_texts(texts))]
        return self.finish_documents(stack(batches, self.dim), self.average_length)

    def encode_queries(self, texts: Texts) -> Vectors:
        """Query vectors: term frequency times IDF; terms without a component are left out."""
        statistics = self._fitted()
        rows: list[NDArray[np.int32]] = []
        values: list[NDArray[np.float32]] = []
        for text in check_texts(texts):
            found = map(self.vocabulary.find, self.analyzer.terms(text))
            known = np.array([c for c in found if c is not None], dtype=np.int32)
            components, repeats = np.unique(known, return_counts=True)
            rows.append(components)
            values.append((repeats * self._idf(components, statistics)).astype(np.float32))
        indptr = np.cumsum([0, *(row.size for row in rows)], dtype=np.int64)
        flat = (np.concatenate(values), np.concatenate(rows)) if rows else (np.zeros(0),) * 2
        return csr(flat[0].astype(np.float32), flat[1].astype(np.int32), indptr, self.dim)

    def ignored_terms(self, text: str) -> list[str]:
        terms = dict.fromkeys(self.analyzer.terms(text))
        return [term for term in terms if self.vocabulary.find(term) is None]

    def spans(self, text: str) -> list[tuple[int, int, int]]:
        found = [self.vocabulary.find(self.analyzer.term(word) or "") for word in words(text)]
        return [
            (start, end, component)
            for (start, end), component in zip(word_places(text), found, strict=True)
            if component is not None
        ]

    def token_spans(self, text: str) -> Spans:
        """Where its words stand, those that become no term included; see `Encoder`."""
        return as_spans(word_places(text))

    def bind(self, statistics: Statistics) -> Self:
        """A copy that shares the vocabulary and takes IDF from `statistics`."""
        bound = copy.copy(self)
        bound.statistics = statistics
        return bound

    def save(self, path: str | PathLike[str]) -> None:
        """Write options, statistics and vocabulary as JSON into the folder `path`."""
        statistics = self._fitted()
        everything = np.arange(self.dim, dtype=np.int32)
        state = {
            "average_length": self.average_length,
            "n_documents": statistics.n_documents,
            "frequencies": statistics.document_frequencies(everything).tolist(),
            "terms": self.vocabulary.terms,
        }
        write_description(path, self.kind, self.options, state)

    def restore(self, state: dict[str, Any]) -> Self:
        """Take over what `save` wrote."""
        self.use_vocabulary(Vocabulary(state["terms"]))
        average = state["average_length"]
        self.average_length = None if average is None else float(average)
        frequencies = np.array(state["frequencies"], dtype=np.int64)
        self.statistics = FittedStatistics(int(state["n_documents"]), frequencies)
        return self

    def _fitted(self) -> Statistics:
        if self.statistics is None:
            raise ParameterError(
                "bm25 weighs by the collection's statistics: call fit(texts) first"
            )
        return self.statistics

    def _idf(self, components: NDArray[np.int32], statistics: Statistics) -> NDArray[np.float64]:
        df = statistics.document_frequencies(components)
        idf: NDArray[np.float64] = np.log1p((statistics.n_documents - df + 0.5) / (df + 0.5))
        return idf


class _ComponentsOfWords(dict[str, int]):
    """Word -> component, -1 for a stop word; each distinct word is analysed once."""

    def __init__(self, analyzer: Analyzer, vocabulary: Vocabulary) -> None:
        super().__init__()
        self._analyzer = analyzer
        self._vocabulary = vocabulary

    def __missing__(self, word: str) -> int:
        term = self._analyzer.term(word)
        component = -1 if term is None else self._vocabulary.add(term)
        self[word] = component
        return component


def _batches(texts: Iterable[str]) -> Iterable[list[str]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
