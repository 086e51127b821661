"""Which query stands at which place of the training, and with which documents.

A pure function of the seed and of the place: no state has to be kept to go on after a kill, and the
number of processes or of loading threads changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lexidex.errors import ParameterError
from lexidex.index.vectors import Float32s, Int64s

from .candidates import Candidates

_ORDER, _NEGATIVES = 0, 1
"""Streams of random numbers, so that one does not repeat another."""


@dataclass(frozen=True)
class Example:
    """A query and its candidates by row, the positive first; int64 (1 + negatives,).

    Attributes:
        place: in the plan, for what else is drawn for this example.
    """

    query: int
    documents: Int64s
    place: int = 0


class Plan:
    """The examples of a whole training, by place; a sequence, as torch's data loader takes it."""

    def __init__(
        self,
        candidates: Candidates,
        n_documents: int,
        length: int,
        *,
        negatives: int = 0,
        repeats: bool = False,
        seed: int = 0,
        clusters: Int64s | None = None,
        block: int = 1,
    ) -> None:
        """Plan `length` examples.

        Args:
            candidates: what examples are made of; each list once an epoch.
            n_documents: number of documents, of which random ones fill up lists that are too short.
            length: examples in all.
            negatives: of each example, drawn from its list anew in every epoch.
            repeats: fill up lists that are too short with their own negatives instead, for a
                teacher that knows no other documents.
            seed: of order and draws.
            clusters: int64 (lists,), lists of like queries; their documents make hard negatives of
                each other when they stand in one batch.
            block: how many neighbouring examples come from one cluster.

        Raises:
            ParameterError: nothing to train on, a list with nothing to repeat, or a block without
                clusters.
        """
        if not len(candidates):
            raise ParameterError("nothing to train on: there are no candidate lists")
        if negatives >= n_documents:
            raise ParameterError(
                f"negatives: {negatives}; there are only {n_documents} documents to take them from"
            )
        if repeats and negatives and min(map(len, candidates.documents)) == 1:
            raise ParameterError("repeats: there are lists without negatives; leave these out")
        if block > 1 and clusters is None:
            raise ParameterError(f"block: {block}; blocks of like queries need clusters")
        self._candidates = candidates
        self._n_documents = n_documents
        self._length = length
        self._negatives = negatives
        self._repeats = repeats
        self._seed = seed
        self._clusters = clusters
        self._block = block
        self._epoch: tuple[int, Int64s] | None = None

    def __len__(self) -> int:
        """Number of examples of the whole training."""
        return self._length

    def __getitem__(self, place: int) -> Example:
        """The example at that place."""
        if not 0 <= place < self._length:
            raise IndexError(place)
        epoch, within = divmod(place, len(self._candidates))
        listed = int(self._order(epoch)[within])
        documents = self._candidates.documents[listed]
        rng = np.random.default_rng([self._seed, _NEGATIVES, place])
        negatives = documents[1:]
        if negatives.size > self._negatives:
            negatives = rng.choice(negatives, self._negatives, replace=False)
        elif negatives.size < self._negatives:
            negatives = self._filled(documents, rng)
        query = int(self._candidates.queries[listed])
        return Example(query, np.concatenate([documents[:1], negatives]), place)

    def _filled(self, documents: Int64s, rng: np.random.Generator) -> Int64s:
        """All negatives of a list, and up to the number wanted random documents, or them again."""
        if self._repeats:
            return np.resize(rng.permutation(documents[1:]), self._negatives)
        chosen = dict.fromkeys(map(int, documents))
        while len(chosen) < self._negatives + 1:
            chosen.setdefault(int(rng.integers(self._n_documents)))
        return np.array(list(chosen)[1:], dtype=np.int64)

    def _order(self, epoch: int) -> Int64s:
        """Lists in the order of an epoch, int64 (lists,)."""
        if self._epoch is None or self._epoch[0] != epoch:
            rng = np.random.default_rng([self._seed, _ORDER, epoch])
            order = rng.permutation(len(self._candidates))
            if self._clusters is not None and self._block > 1:
                order = _in_blocks(order, self._clusters[order], self._block, rng)
            self._epoch = epoch, order
        return self._epoch[1]


def _in_blocks(order: Int64s, clusters: Int64s, block: int, rng: np.random.Generator) -> Int64s:
    """The same lists, such that those of a cluster stand together, `block` at a time.

    What is left of each cluster, less than a block, comes last.
    """
    sorted_by_cluster = order[np.argsort(clusters, kind="stable")]
    bounds = np.cumsum([0, *np.bincount(clusters)])
    whole: list[Int64s] = []
    rest: list[Int64s] = []
    for first, end in pairwise(bounds):
        cut = first + (end - first) // block * block
        whole += [sorted_by_cluster[at : at + block] for at in range(first, cut, block)]
        rest.append(sorted_by_cluster[cut:end])
    shuffled = [whole[place] for place in rng.permutation(len(whole))]
    joined: Int64s = np.concatenate([*shuffled, *rest])
    return joined


def cluster(vectors: Float32s, n_clusters: int, seed: int, rounds: int = 5) -> Int64s:
    """The cluster of each vector, int64 (n,), by k-means on the sphere.

    Args:
        vectors: float32 (n, d).
        n_clusters: at most; no more than vectors.
        seed: of the first centres.
        rounds: of assignment and averaging.
    """
    rng = np.random.default_rng(seed)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    centres = unit[rng.choice(len(unit), min(n_clusters, len(unit)), replace=False)].copy()
    for _ in range(rounds):
        nearest = np.argmax(unit @ centres.T, axis=1)
        for number in range(len(centres)):
            inside = unit[nearest == number]
            if len(inside):
                centres[number] = inside.mean(0) / max(float(np.linalg.norm(inside.mean(0))), 1e-9)
    found: Int64s = np.argmax(unit @ centres.T, axis=1).astype(np.int64)
    return found
