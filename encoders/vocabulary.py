"""A vocabulary that grows: terms get components in the order in which they first appear."""

from __future__ import annotations

from collections.abc import Iterable


class Vocabulary:
    """Terms and their components, one to one; components count from 0 and are never reused."""

    def __init__(self, terms: Iterable[str] = ()) -> None:
        """Start with `terms`, in order of their components."""
        self.terms = list(terms)
        self._components = {term: component for component, term in enumerate(self.terms)}

    def __len__(self) -> int:
        return len(self.terms)

    def add(self, term: str) -> int:
        """The term's component; a new one when the term is new."""
        component = self._components.setdefault(term, len(self.terms))
        if component == len(self.terms):
            self.terms.append(term)
        return component

    def find(self, term: str) -> int | None:
        """The term's component, or None when it has none."""
        return self._components.get(term)
