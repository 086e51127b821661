"""Vectors by names are the same, whatever numbers a vocabulary gives these."""

import numpy as np
import pytest

from lexidex.index.by_names import by_names
from lexidex.index.vectors import build_vectors

NAMES = ["sea", "a", "Whale", "ß", "\U0001f40b", "\uffff", ""]


@pytest.mark.parametrize("seed", range(5))
def test_numbers_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    texts = [dict.fromkeys(rng.permutation(NAMES[:-1])[: rng.integers(6)]) for _ in range(9)]
    weights = [{name: float(rng.integers(1, 9)) for name in text} for text in texts]
    made = []
    for numbered in (NAMES, rng.permutation(NAMES).tolist()):
        rows = [sorted((numbered.index(name), w) for name, w in text.items()) for text in weights]
        vectors = build_vectors([([c for c, _ in r], [w for _, w in r]) for r in rows], len(NAMES))
        made.append(by_names(vectors, numbered))
    (one, names), (other, same_names) = made
    assert names == same_names == sorted({name for text in texts for name in text})
    assert one.has_canonical_format
    for part in ("indptr", "indices", "data"):
        assert getattr(one, part).tolist() == getattr(other, part).tolist()
    for row, text in zip(one.toarray(), weights, strict=True):
        assert {name: w for name, w in zip(names, row.tolist(), strict=True) if w} == text


def test_no_vectors_have_no_names():
    for vectors in (build_vectors([], 3), build_vectors([([], [])], 0)):
        found, names = by_names(vectors, ["a", "b", "c"])
        assert (found.shape, names) == ((vectors.shape[0], 0), [])
