"""The cache of masks: made once, the least recently used go first, never over its bytes."""

import numpy as np

from lexidex.index import Allowed
from lexidex.index.filters import MaskCache, Selection


def selection(n_documents):
    mask = np.ones(n_documents, dtype=np.bool_)
    return Selection(mask, Allowed(mask, n_documents), n_documents)


def test_a_selection_is_made_once_while_there_is_room():
    cache, made = MaskCache(limit=3 * selection(10).n_bytes), []

    def get(key, n_documents=10):
        def make():
            made.append(key)
            return selection(n_documents)

        return cache.get(key, make)

    first = get("a")
    get("b")
    assert get("a") is first
    assert made == ["a", "b"]
    get("c")
    get("a")
    get("d")  # b is the least recently used
    get("a")
    get("c")
    assert made == ["a", "b", "c", "d"]
    get("b")
    assert made[4:] == ["b"]
    assert get("large", 64).n_documents == 64
    get("large", 64)
    assert made[5:] == ["large", "large"]


def test_a_selection_counts_a_byte_a_document_and_a_bit_a_passage():
    documents, passages = np.ones(8, dtype=np.bool_), np.ones(100, dtype=np.bool_)
    assert Selection(documents, Allowed(passages, 100), 8).n_bytes == 8 + 128 // 8
