"""Middle training: hidden words and FLOPS on documents alone, before retrieval is learned.

Efficient SPLADE (arXiv 2207.03834) starts from a language model that was trained on with the usual
task and with sparse vectors at the same time; what comes out is a backbone for any other recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lexidex.index.vectors import Int64s

from ..recipe import SPECIAL
from ..screened import whole_of
from .encoder_student import EncoderStudent
from .loss import Regulariser, Texts, numbered
from .objectives import masked_language_model
from .pairs import Pairs
from .plan import Example
from .trainer import PlannedTrainer

_MASKS = 2
"""A stream of random numbers beside those of the plan."""

_AS_MASK, _AS_RANDOM = 0.8, 0.9
"""Of the hidden tokens: up to the first share shown as [MASK], up to the second as any token."""

NOT_HIDDEN = -100


class MaskingCollator:
    """Examples -> documents with hidden tokens."""

    def __init__(self, student: EncoderStudent, pairs: Pairs, rate: float, seed: int) -> None:
        """Take whose tokens are hidden, the texts, and the share of tokens."""
        self._student = student
        self._pairs = pairs
        self._rate = rate
        self._seed = seed
        tokenizer = student.encoder.documents.tokenizer
        self._special = np.array(tokenizer.special_ids((SPECIAL,)), dtype=np.int64)
        (self._mask,) = tokenizer.special_ids(("mask",))
        self._n_tokens = len(tokenizer)

    def __call__(self, examples: Sequence[Example]) -> dict[str, Any]:
        """A batch: ids as shown, mask, and labels, the hidden ids, NOT_HIDDEN elsewhere."""
        texts = [self._pairs.documents[int(example.documents[0])] for example in examples]
        batch = self._student.prepare("documents", texts)
        ids, labels = batch["ids"].numpy(), np.full(batch["ids"].shape, NOT_HIDDEN, dtype=np.int64)
        for row, example in enumerate(examples):
            rng = np.random.default_rng([self._seed, _MASKS, example.place])
            length = int(batch["mask"][row].sum())
            ids[row, :length], labels[row, :length] = self.hide(ids[row, :length], rng)
        return {"ids": batch["ids"], "mask": batch["mask"], "labels": torch.from_numpy(labels)}

    def hide(self, ids: Int64s, rng: np.random.Generator) -> tuple[Int64s, Int64s]:
        """Ids as they are shown, and labels; special tokens are never hidden."""
        hidden = (rng.random(ids.size) < self._rate) & ~np.isin(ids, self._special)
        how, other = rng.random(ids.size), rng.integers(0, self._n_tokens, ids.size)
        shown = np.where(how < _AS_MASK, self._mask, np.where(how < _AS_RANDOM, other, ids))
        return np.where(hidden, shown, ids), np.where(hidden, ids, NOT_HIDDEN)


class MaskedModel(nn.Module):
    """A student that says what was hidden, and how sparse the text's vector is."""

    def __init__(self, student: EncoderStudent) -> None:
        """Take a student whose head scores the vocabulary."""
        super().__init__()
        self.student = student
        self._module = student.expanding

    def forward(self, ids: Tensor, mask: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of hidden positions (hidden, terms), and vectors (texts, terms), float32."""
        module = self._module
        states = module.network.states(ids, mask)
        head: Any = whole_of(module.network.head) or module.network.head
        scores = head.scores(states).float()
        vectors = module.pooling.weights(scores, module.pooling.counted(ids, mask)) * module.kept
        return scores[labels != NOT_HIDDEN], vectors


class MaskedTrainer(PlannedTrainer):
    """Trains by hidden tokens."""

    def __init__(
        self,
        model: MaskedModel,
        *rest: Any,
        regularisers: Sequence[Regulariser],
        activated_weight: float,
        **others: Any,
    ) -> None:
        """See `PlannedTrainer`.

        Args:
            model: what is trained.
            rest: arguments, plan and collator.
            regularisers: of documents.
            activated_weight: see `objectives.masked_language_model`.
            others: see `PlannedTrainer`.
        """
        self._regularisers = [each for each in regularisers if each.side == "documents"]
        self._activated_weight = activated_weight
        super().__init__(model, model.student, *rest, **others)

    def _step(
        self, model: nn.Module, batch: dict[str, Any], step: int, share: float
    ) -> tuple[Tensor, dict[str, float]]:
        scores, vectors = model(**batch)
        labels = batch["labels"][batch["labels"] != NOT_HIDDEN]
        value = masked_language_model(scores, labels, activated_weight=self._activated_weight)
        texts = Texts(vectors)
        parts = {
            "masked-language-model": float(value.detach()),
            "nnz_documents": float(texts.nnz.mean()),
        }
        loss = value
        keys = numbered(f"{each.name}_documents" for each in self._regularisers)
        for key, regulariser in zip(keys, self._regularisers, strict=True):
            penalty = regulariser.value(texts)
            parts[key] = float(penalty.detach())
            loss = loss + regulariser.weight_at(step) * penalty
        loss = loss * share
        self.accelerator.backward(loss)
        return loss.detach(), parts
