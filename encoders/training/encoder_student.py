"""One of our encoders as a student: its two sides as torch modules, trained where they lie.

All families come out of `lexidex.encoders.presets` and are trained alike. Where a text's weights
come from the text's own tokens, or from a head that maps states linearly onto the vocabulary, only
the columns that a step asks for are computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lexidex.errors import ParameterError
from lexidex.index.vectors import Int64s, Vectors

from ..activations import activate_tensor
from ..language_model import padded
from ..learned import LearnedEncoder
from ..networks.base import VocabularyNetwork
from ..networks.epic import EpicNetwork
from ..networks.side import ExpandingModule, StaticModule, WeighingModule
from ..screened import whole_of
from .student import Batch


class EncoderStudent(nn.Module):
    """A learned encoder in training; `encoder` sees every change at once.

    Attributes:
        encoder: whose parameters are trained.
    """

    def __init__(self, encoder: LearnedEncoder, *, dropout: bool = True) -> None:
        """Take an encoder.

        Args:
            encoder: of any learned family.
            dropout: whether the backbone drops out in training.
        """
        super().__init__()
        self.encoder = encoder
        self._documents: Any = encoder.documents.module()
        shared = encoder.queries is encoder.documents
        self._queries: Any = self._documents if shared else encoder.queries.module()
        self._dropout = dropout
        self.train()

    @property
    def dim(self) -> int:
        """Number of terms; grows while words are read (`read_words`)."""
        return self.encoder.dim

    def read_words(self, texts: Sequence[str]) -> None:
        """Let a vocabulary of words know the words of these documents, before any batch is made."""
        if self.encoder.vocabulary is not None:
            self.encoder.documents.tokens(texts)

    @property
    def expanding(self) -> ExpandingModule:
        """The document side, if its head scores the vocabulary.

        Raises:
            ParameterError: it weighs a text's own tokens.
        """
        if not isinstance(self._documents, ExpandingModule):
            raise ParameterError(
                "task: 'masked-language-model' needs a head that scores the vocabulary, as that of "
                "splade-max"
            )
        return self._documents

    @property
    def weighing(self) -> WeighingModule:
        """The document side, if it gives words one score each.

        Raises:
            ParameterError: it weighs tokens, or scores the vocabulary.
        """
        if not isinstance(self._documents, WeighingModule) or self.encoder.vocabulary is None:
            raise ParameterError(
                "task: 'term-recall' needs a head that weighs words, as that of deepct"
            )
        return self._documents

    def freeze_table(self) -> None:
        """Leave the table of query weights as it is."""
        if isinstance(self._queries, StaticModule):
            self._queries.requires_grad_(False)

    @property
    def can_be_empty(self) -> bool:
        """Whether documents may have any number of terms, from none to all.

        Heads whose activation is never 0 have all of them before they are pruned.
        """
        return self.encoder.checkpoint.documents.recipe.activation != "softplus"

    def document_frequencies(self, texts: Sequence[str]) -> Int64s:
        """How many of the texts say each term, int64 (dim,)."""
        counts = np.zeros(self.dim, dtype=np.int64)
        for text in self.encoder.documents.tokens(texts):
            terms = np.unique(text.terms)
            counts[terms[terms >= 0]] += 1
        return counts

    def idf(self, texts: Sequence[str]) -> Tensor:
        """ln(1 + (N - df + 0.5) / (df + 0.5)) of each term, float32 (dim,)."""
        counts = self.document_frequencies(texts)
        idf = np.log1p((len(texts) - counts + 0.5) / (counts + 0.5))
        return torch.from_numpy(idf.astype(np.float32))

    def train(self, mode: bool = True) -> EncoderStudent:
        """Switch between training and encoding; without dropout both are one."""
        super().train(mode and self._dropout)
        self.training = mode
        return self

    def prepare(self, side: str, texts: Sequence[str]) -> dict[str, Tensor]:
        """See `Student`: ids, mask, and which term each position stands for."""
        tokens = self._side(side).tokens(texts)
        ids, mask = padded([text.ids for text in tokens], 0)
        terms = np.full(ids.shape, -1, dtype=np.int64)
        for row, text in enumerate(tokens):
            terms[row, : len(text.terms)] = text.terms
        return {"ids": ids, "mask": mask, "terms": torch.from_numpy(terms)}

    def queries(self, batch: Batch) -> Tensor:
        """See `Student`."""
        # A learned table may dip below 0, which no index can hold.
        found: Tensor = self._queries(batch["ids"], batch["mask"], batch["terms"], self.dim).relu()
        if found.shape[1] < self.dim:
            found = nn.functional.pad(found, (0, self.dim - found.shape[1]))
        return found

    def documents(self, batch: Batch, columns: Tensor | None = None) -> Tensor:
        """See `Student`."""
        ids, mask, terms = batch["ids"], batch["mask"], batch["terms"]
        module = self._documents
        if isinstance(module, ExpandingModule) and _is_linear(module):
            return expand(module, ids, mask, columns)
        found: Tensor
        if columns is None or isinstance(module, ExpandingModule):
            found = module(ids, mask, terms, self.dim)
            return found if columns is None else found[:, columns]
        places = torch.full((self.dim + 1,), -1, dtype=torch.int64, device=ids.device)
        places[columns] = torch.arange(columns.numel(), device=ids.device)
        found = module(ids, mask, places[terms], columns.numel())
        return found

    def encode(self, side: str, texts: Sequence[str]) -> Vectors:
        """See `Student`."""
        self.write_back()
        training = self.training
        self.eval()
        try:
            found: Vectors = getattr(self.encoder, f"encode_{side}")(texts)
            return found
        finally:
            self.train(training)

    def write_back(self) -> None:
        """Hand the encoder the table of query weights, which it keeps as an array."""
        module, table = self._queries, self.encoder.queries.table
        if isinstance(module, StaticModule) and module.weight is not None and table is not None:
            table[:] = module.weight.detach().clamp(min=0).cpu().numpy()

    def save(self, path: str | PathLike[str]) -> None:
        """See `Student`."""
        self.write_back()
        self.encoder.save(path)

    def _side(self, side: str) -> Any:
        return self.encoder.documents if side == "documents" else self.encoder.queries


def expand(
    module: ExpandingModule, ids: Tensor, mask: Tensor, columns: Tensor | None = None
) -> Tensor:
    """What the module computes, of some terms alone and without scoring any padding.

    Args:
        module: whose head ends in a linear map onto the vocabulary.
        ids, mask: (texts, longest).
        columns: int64, which terms; None for all.

    Returns:
        float32 (texts, columns), with gradients.
    """
    network, pooling = module.network, module.pooling
    weight, bias, kept = _output_map(module, columns)
    head = whole_of(network.head)
    assert head is not None
    whole, counted = network.states(ids, mask), pooling.counted(ids, mask)
    states = whole[counted]
    scores = nn.functional.linear(head.transform(states), weight, bias)
    lengths = counted.sum(1).tolist()
    if isinstance(network, EpicNetwork):
        # Importance differs from position to position, so that weights have to be made of scores
        # before they are pooled.
        weights = activate_tensor(scores, pooling.activation)
        weights = weights * network.importance_of(states, pooling)
        return _pooled(weights, lengths, "max", 0.0) * network.quality_of(whole) * kept
    if pooling.sums:
        return _pooled(activate_tensor(scores, pooling.activation), lengths, "sum", 0.0) * kept
    highest = _pooled(scores, lengths, "max", pooling.empty)
    return activate_tensor(highest, pooling.activation) * kept


def _output_map(module: ExpandingModule, columns: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Weight, bias and mask of the columns."""
    head = whole_of(module.network.head)
    assert head is not None
    everything = head.weight, head.bias, module.kept
    if columns is None:
        return everything
    weight, bias, kept = (tensor[columns] for tensor in everything)
    return weight, bias, kept


def _pooled(scores: Tensor, lengths: list[int], how: str, empty: float) -> Tensor:
    """Scores of positions, text after text, (positions, terms), as (texts, terms)."""
    rows = []
    for text in torch.split(scores, lengths):
        if not len(text):
            rows.append(scores.new_full((scores.shape[1],), empty))
        else:
            rows.append(text.sum(0) if how == "sum" else text.amax(0))
    return torch.stack(rows)


def _is_linear(module: ExpandingModule) -> bool:
    """Whether `expand` is what the module computes: states, a head it can cut, and pooling."""
    plain = type(module.network).expand in (VocabularyNetwork.expand, EpicNetwork.expand)
    return plain and module.own is None and whole_of(module.network.head) is not None
