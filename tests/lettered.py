"""Dense vectors that are the letters of texts: a search tells whether each is with its document."""

import numpy as np

from lexidex.dense_side import DenseSide
from lexidex.index import DenseParams

LETTERS = 10
PROBE = range(1, LETTERS + 1)
DENSE = DenseSide(DenseParams("inner-product", "SQ8"))


def letters(text):
    """The dense vector of a text of up to ten letters; single precision has its products."""
    return list(text.encode().ljust(LETTERS))


def by_letters(collection):
    """{id: text} of the documents that a dense search finds, each by the letters of its text."""
    hits = collection.search(mode="dense", dense=PROBE, k=1000).hits
    for hit in hits:
        assert hit.score == np.dot(letters(hit.text), PROBE), hit
    return {hit.doc_id: hit.text for hit in hits}
