"""The smallest student: a matrix from the words of a text to the weights of words."""

from __future__ import annotations

import torch
from scipy.sparse import csr_array
from torch import nn

from .tiny import FILLERS, SYNONYMS

WORDS = [f"{kind}{n}" for kind in "qd" for n in range(SYNONYMS)] + [f"f{n}" for n in range(FILLERS)]


class LinearStudent(nn.Module):
    """log(1 + ReLU(W x + b)) of documents; queries weigh their own words, each by one number."""

    def __init__(self, seed: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.dim = len(WORDS)
        start = 0.1 * torch.randn(self.dim, self.dim, generator=generator) + torch.eye(self.dim)
        self.weight = nn.Parameter(start)
        self.bias = nn.Parameter(torch.ones(self.dim))
        self.table = nn.Parameter(torch.ones(self.dim))
        self.dropout = nn.Dropout(dropout)
        self._place = {word: place for place, word in enumerate(WORDS)}

    def prepare(self, side, texts):
        counts = torch.zeros(len(texts), self.dim)
        for row, text in enumerate(texts):
            for word in text.split():
                counts[row, self._place[word]] = 1
        return {"counts": counts}

    def queries(self, batch):
        return batch["counts"] * self.table.relu()

    def documents(self, batch, columns=None):
        weight, bias = self.weight, self.bias
        if columns is not None:
            weight, bias = weight[:, columns], bias[columns]
        return (self.dropout(batch["counts"]) @ weight + bias).relu().log1p()

    def encode(self, side, texts):
        training = self.training
        self.eval()
        with torch.no_grad():
            found = getattr(self, side)(self.prepare(side, texts))
        self.train(training)
        return csr_array(found.numpy())
