"""Examples -> batches: texts prepared by the student, and which row is which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .pairs import Pairs
from .plan import Example
from .student import Student

if TYPE_CHECKING:
    from torch import Tensor


class Collator:
    """Puts examples together; what torch's data loader calls."""

    def __init__(self, student: Student, pairs: Pairs) -> None:
        """Take the texts that rows of examples stand for, and who prepares them."""
        self._student = student
        self._pairs = pairs

    def __call__(self, examples: Sequence[Example]) -> dict[str, Any]:
        """A batch.

        Returns:
            query_rows: int64 (queries,).
            document_rows: int64 (queries * candidates,): the candidates of the first query, its
                positive first, then those of the second, and so on.
            queries, documents: what `Student.prepare` gave for those texts.
        """
        import torch

        query_rows = np.array([example.query for example in examples], dtype=np.int64)
        document_rows = np.concatenate([example.documents for example in examples])
        return {
            "query_rows": torch.from_numpy(query_rows),
            "document_rows": torch.from_numpy(document_rows),
            "queries": self._prepared("queries", self._pairs.queries, query_rows),
            "documents": self._prepared("documents", self._pairs.documents, document_rows),
        }

    def _prepared(self, side: str, texts: Sequence[str], rows: Any) -> dict[str, Tensor]:
        return self._student.prepare(side, [texts[row] for row in rows])
