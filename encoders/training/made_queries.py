"""Queries for documents that nobody has asked for, made of the documents' own words.

Every other one is a sentence of the document (the inverse cloze task of Lee, Chang and Toutanova,
arXiv 1906.00300; the sentence stays in the document, because what is trained is to find words as
well), the others are words drawn by how much they tell (the representative words of Ma et al.,
arXiv 2010.10137, which draws whole sets from a language model of the document; here single words by
their inverse document frequency). Such queries are no judgments: they are for distillation, where a
teacher says how well each document of the batch answers them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import pairwise

import numpy as np

from ..analysis import word_places, words
from ..sentences import sentence_starts
from .pairs import Pairs, text_id

SENTENCE_WORDS = 5, 40
"""Words that a sentence must have to be a query, least and most."""

DRAWN_WORDS = 2, 8
"""Words of a query of single words, least and most."""


def make_queries(pairs: Pairs, rows: Sequence[int], n_each: int, seed: int) -> Pairs:
    """These pairs, and queries made of some of their documents.

    What a document is asked depends on its text, the seed and the collection's document
    frequencies, not on its place.

    Args:
        pairs: the documents may have queries already.
        rows: documents that queries are made of.
        n_each: how many of each; fewer where a text has nothing more to ask.
        seed: of the draws.
    """
    if not rows or not n_each:
        return pairs
    weights = _Weights(pairs.documents)
    known = set(pairs.query_ids)
    queries, positives = list(pairs.queries), list(pairs.positives)
    query_ids = list(pairs.query_ids)
    for row in rows:
        for query in _queries_of(pairs.documents[row], n_each, seed, weights):
            name = text_id(query)
            if name not in known:
                known.add(name)
                query_ids.append(name)
                queries.append(query)
                positives.append(np.array([row], dtype=np.int64))
    return Pairs(query_ids, queries, pairs.document_ids, pairs.documents, positives)


def _queries_of(text: str, n_each: int, seed: int, weights: _Weights) -> Iterable[str]:
    key = blake2b(f"{seed}:{text}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    rng = np.random.default_rng(int.from_bytes(key))
    sentences = rng.permutation(np.array(_sentences(text), dtype=object)).tolist()
    first = int(rng.integers(2))
    for number in range(first, first + n_each):
        if number % 2 and sentences:
            yield sentences.pop()
        elif drawn := weights.draw(text, rng):
            yield drawn


def _sentences(text: str) -> list[str]:
    """The sentences of a text that could be asked; a text of one is no question for itself."""
    ends = pairwise([*sentence_starts(text), len(text)])
    cut = [text[start:end].strip() for start, end in ends]
    if len(cut) == 1:
        return []
    least, most = SENTENCE_WORDS
    return [sentence for sentence in cut if least <= len(word_places(sentence)) <= most]


class _Weights:
    """How much a word tells: its inverse document frequency among some documents."""

    def __init__(self, documents: Sequence[str]) -> None:
        self._n = len(documents)
        self._frequencies: Counter[str] = Counter()
        for document in documents:
            self._frequencies.update(set(words(document)))

    def draw(self, text: str, rng: np.random.Generator) -> str | None:
        """Some words in the order of the text, or None where it has too few."""
        distinct = list(dict.fromkeys(words(text)))
        least, most = DRAWN_WORDS
        frequencies = np.array([self._frequencies[word] for word in distinct], dtype=np.float64)
        idf = np.log(self._n / frequencies)
        telling = int(np.count_nonzero(idf > 0))
        if telling < least:
            return None
        count = min(int(rng.integers(least, most + 1)), telling)
        shares = np.maximum(idf, 0.0)
        chosen = rng.choice(len(distinct), count, replace=False, p=shares / shares.sum())
        return " ".join(distinct[place] for place in np.sort(chosen))
