"""Vectors by the names of their components: the same whatever numbers a vocabulary gives these.

Two runs number the words of a growing vocabulary as they come to see them. What has to be the same
in both, or is to be read by the other, is therefore kept by words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from .vectors import Vectors


class Names(Protocol):
    """A vocabulary that grows."""

    terms: list[str]
    """Names, in order of their components."""

    def add(self, term: str, /) -> int:
        """The component of a name; a new one where the name is new."""


def by_names(vectors: Vectors, names: Sequence[str]) -> tuple[Vectors, list[str]]:
    """Vectors over the components that they have, in order of their names; and these names.

    Args:
        vectors: csr_array (n, dim).
        names: of components, at least `dim`, no two alike.

    Returns:
        csr_array (n, len(names that it has)) in canonical form, and what its columns are called.
    """
    own = sorted(np.unique(vectors.indices).tolist(), key=names.__getitem__)
    found: Vectors = vectors[:, np.array(own, dtype=np.int64)]
    found.sort_indices()
    return found, [names[component] for component in own]
