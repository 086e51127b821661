"""The cache of masks: made once, the least recently used go first, never over its bytes."""

import numpy as np
import pytest

from lexidex.index.filters import MaskCache, Selection


def selection(n_bytes):
    mask = np.ones(n_bytes, dtype=np.bool_)
    return Selection(mask, mask, n_bytes)


def test_a_selection_is_made_once_while_there_is_room():
    cache, made = MaskCache(limit=30), []

    def get(key, n_bytes=10):
        def make():
            made.append(key)
            return selection(n_bytes)

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
    assert get("large", 31).n_documents == 31
    get("large", 31)
    assert made[5:] == ["large", "large"]


@pytest.mark.parametrize(("shared", "n_bytes"), [(True, 8), (False, 20)])
def test_a_mask_that_is_shared_counts_once(shared, n_bytes):
    mask = np.ones(8, dtype=np.bool_)
    assert Selection(mask, mask if shared else np.ones(12, dtype=np.bool_), 8).n_bytes == n_bytes
