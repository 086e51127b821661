"""Term recall: a passage's words, weighed by how many of its queries say them; no ranking at all.

    r(t, d) = queries of d that say t / queries of d

What a model that is trained for it (DeepCT, arXiv 1910.10687) gives to words then stands for term
frequencies, see `lexidex.encoders.deepct`. As its authors recommend, words are compared by their
stems and stop words have no recall, here by Lucene's analysis. As with them, a word is trained at
every place at which it stands, for each may weigh it when documents are encoded. It differs in that
punctuation does not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..analysis import Analyzer
from .encoder_student import EncoderStudent
from .objectives import term_recall
from .pairs import Pairs
from .plan import Example
from .trainer import PlannedTrainer

NO_WORD = -1.0
"""Stands for the recall of a position at which no word begins."""


def term_recalls(pairs: Pairs, analyzer: Analyzer) -> list[dict[str, float]]:
    """For each document, the recall of the terms of its queries; of other terms it is 0.

    Args:
        pairs: a document's queries are those that it answers.
        analyzer: what makes terms of queries.
    """
    said: list[Counter[str]] = [Counter() for _ in pairs.documents]
    n_queries = np.zeros(len(pairs.documents), dtype=np.int64)
    for query, own in zip(pairs.queries, pairs.positives, strict=True):
        terms = set(analyzer.terms(query))
        for row in own:
            said[row].update(terms)
            n_queries[row] += 1
    return [
        {term: count / int(n) for term, count in counts.items()}
        for counts, n in zip(said, n_queries, strict=True)
    ]


class RecallCollator:
    """Examples -> documents, with the recall of their words."""

    def __init__(self, student: EncoderStudent, pairs: Pairs) -> None:
        """Take who prepares the texts, and the pairs that recalls are counted in."""
        self._student = student
        self._pairs = pairs
        self._analyzer = Analyzer()
        self._recalls = term_recalls(pairs, self._analyzer)

    def __call__(self, examples: Sequence[Example]) -> dict[str, Any]:
        """A batch: ids, mask, terms and recalls; the last float32 (texts, longest), or NO_WORD."""
        rows = [int(example.documents[0]) for example in examples]
        batch = self._student.prepare("documents", [self._pairs.documents[row] for row in rows])
        recalls = [
            [self._recall_of(component, row) for component in terms]
            for row, terms in zip(rows, batch["terms"].tolist(), strict=True)
        ]
        return {**batch, "recalls": torch.tensor(recalls)}

    def _recall_of(self, component: int, row: int) -> float:
        """Recall of a word in a document, the largest of its terms'."""
        if component < 0:
            return NO_WORD
        terms = self._analyzer.terms(self._student.encoder.term(component))
        return max((self._recalls[row].get(term, 0.0) for term in terms), default=0.0)


class RecallModel(nn.Module):
    """A student that scores the words of documents."""

    def __init__(self, student: EncoderStudent) -> None:
        """Take a student that weighs words.

        Raises:
            ParameterError: it does not, see `EncoderStudent.weighing`.
        """
        super().__init__()
        self.student = student
        self._network = student.weighing.network

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Scores of positions before they are rectified, float32 (texts, longest).

        Rectified ones would give no gradient where they are 0, which most recalls are.
        """
        return self._network.scores(ids, mask).float()


class RecallTrainer(PlannedTrainer):
    """Trains by the recall of words."""

    def _step(
        self, model: nn.Module, batch: dict[str, Any], step: int, share: float
    ) -> tuple[Tensor, dict[str, float]]:
        scores, recalls = model(batch["ids"], batch["mask"]), batch["recalls"]
        is_word = recalls > NO_WORD
        value = term_recall(scores[is_word], recalls[is_word])
        loss = value * share
        self.accelerator.backward(loss)
        kept = torch.where((scores > 0) & is_word, batch["terms"], -1)
        n_kept = [len(set(words) - {-1}) for words in kept.tolist()]
        parts = {"term-recall": float(value.detach()), "nnz_documents": float(np.mean(n_kept))}
        return loss.detach(), parts
