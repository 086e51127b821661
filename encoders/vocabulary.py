"""A vocabulary that grows: terms get components in the order in which they first appear."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence


class Vocabulary:
    """Terms and their components, one to one; components count from 0 and are never reused.

    Safe to grow from many threads.
    """

    def __init__(self, terms: Iterable[str] = ()) -> None:
        """Start with `terms`, in order of their components."""
        self.terms = list(terms)
        self._components = {term: component for component, term in enumerate(self.terms)}
        self._growing = threading.Lock()

    def __len__(self) -> int:
        return len(self.terms)

    def add(self, term: str) -> int:
        """The term's component; a new one when the term is new."""
        component = self._components.get(term)
        if component is not None:
            return component
        with self._growing:
            if term not in self._components:
                self.terms.append(term)
                self._components[term] = len(self.terms) - 1
            return self._components[term]

    def agree(self, first: int, terms: Sequence[str]) -> bool:
        """Whether `terms` stand from component `first` on, after adding those beyond the end."""
        with self._growing:
            known = len(self.terms) - first
            if known < 0 or self.terms[first : first + len(terms)] != list(terms[:known]):
                return False
            for term in terms[known:]:
                self.terms.append(term)
                self._components[term] = len(self.terms) - 1
            return True

    def find(self, term: str) -> int | None:
        """The term's component, or None when it has none."""
        return self._components.get(term)
