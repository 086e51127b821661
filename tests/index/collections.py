"""Random small collections for tests: integer weights, so that float32 sums are exact."""

import numpy as np
from hypothesis import strategies as st
from scipy import sparse


@st.composite
def batches(draw, max_rows=40, max_dim=12, max_weight=3):
    """A csr_array of small integer weights; many ties, empty rows and unused components."""
    rows = draw(st.integers(0, max_rows))
    dim = draw(st.integers(1, max_dim))
    seed = draw(st.integers(0, 2**32 - 1))
    density = draw(st.sampled_from([0.0, 0.1, 0.4, 0.9]))
    return random_batch(np.random.default_rng(seed), rows, dim, density, max_weight)


def random_batch(rng, rows, dim, density=0.2, max_weight=3):
    """A csr_array (rows, dim) of weights 1 to max_weight."""
    weights = rng.integers(1, max_weight + 1, (rows, dim)) * (rng.random((rows, dim)) < density)
    return sparse.csr_array(weights.astype(np.float32))


def brute_force(queries, documents, k, allowed=None):
    """Scores and ordinals by a dense product; score descending, then ordinal ascending."""
    dim = max(queries.shape[1], documents.shape[1])
    products = _widened(queries, dim) @ _widened(documents, dim).T
    scores = np.full((queries.shape[0], k), -np.inf, dtype=np.float32)
    ordinals = np.full((queries.shape[0], k), -1, dtype=np.int64)
    for row, product in enumerate(products):
        matching = product > 0
        if allowed is not None:
            matching &= allowed
        places = np.flatnonzero(matching)
        best = places[np.lexsort((places, -product[places]))][:k]
        scores[row, : best.size] = product[best]
        ordinals[row, : best.size] = best
    return scores, ordinals


def _widened(batch, dim):
    dense = np.zeros((batch.shape[0], dim), dtype=np.float32)
    dense[:, : batch.shape[1]] = batch.toarray()
    return dense
