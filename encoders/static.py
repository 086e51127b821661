"""Inference-free queries: the weight of a token comes from a table, no model runs.

    w_t = table[t]   for each distinct token t of the query

The table holds inverse document frequencies or learned weights (OpenSearch neural sparse,
arXiv 2411.04403); a token that is repeated counts once. Needs `tokenizers` alone.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from lexidex.errors import CorruptFile, ParameterError
from lexidex.index.vectors import Float32s, Vectors, build_vectors

from .base import Texts
from .json_file import read_json
from .tokenizer import ModelTokenizer
from .weights import read_tensor


class StaticSide:
    """Texts -> the table's weights of their distinct tokens."""

    def __init__(
        self, tokenizer: ModelTokenizer, table: Float32s, dim: int | None = None, prompt: str = ""
    ) -> None:
        """Take a table that `read_table` returned.

        Args:
            tokenizer: without special tokens.
            table: float32 (terms,), finite and not negative.
            dim: number of components of the vectors, at least the table's; None for as many.
            prompt: what each text is preceded by.

        Raises:
            CorruptFile: the table has more terms than `dim`.
        """
        if dim is not None and table.size > dim:
            raise CorruptFile(
                f"{tokenizer.folder}: weights of {table.size} query terms, but documents have only "
                f"{dim}; they do not belong together"
            )
        self.tokenizer = tokenizer
        self.dim = dim or table.size
        self._table = table
        self._prompt = prompt

    @property
    def identity(self) -> list[Any]:
        return [zlib.crc32(self._table.tobytes()), self.tokenizer.identity, self._prompt]

    def encode(self, texts: Texts) -> Vectors:
        rows = []
        for ids in self.tokenizer.encode([self._prompt + text for text in texts]):
            components = np.unique(np.array(ids, dtype=np.int32))
            values = self._table[components]
            rows.append((components[values > 0], values[values > 0]))
        return build_vectors(rows, self.dim)


def read_table(folder: Path, file: Path | None, tokenizer: ModelTokenizer) -> Float32s:
    """The weights of all tokens, float32 (terms,); at least the tokenizer's.

    Args:
        folder: holds a tensor named "weight", when `file` is None.
        file: idf.json, {token: weight}; tokens that it lacks weigh nothing.
        tokenizer: which tokens there are.

    Raises:
        CorruptFile: a file is missing or unreadable, or has fewer terms than the tokenizer.
        ParameterError: a weight is negative or not finite.
    """
    table = read_tensor(folder, "weight") if file is None else _from_json(file, tokenizer)
    if table.ndim != 1 or table.size < len(tokenizer):
        raise CorruptFile(
            f"{folder}: a table of shape {table.shape} for a vocabulary of {len(tokenizer)} tokens"
        )
    wrong = np.flatnonzero(~(np.isfinite(table) & (table >= 0)))
    if wrong.size:
        token = tokenizer.token(int(wrong[0]))
        raise ParameterError(
            f"{folder}: weight {table[wrong[0]]} of token {token!r}; weights of query tokens must "
            "be finite and not negative"
        )
    return table


def _from_json(file: Path, tokenizer: ModelTokenizer) -> Float32s:
    table = np.zeros(len(tokenizer), dtype=np.float32)
    for token, weight in read_json(file).items():
        component = tokenizer.id(token)
        if component is not None:
            try:
                table[component] = weight
            except (TypeError, ValueError):
                raise CorruptFile(f"{file}: weight {weight!r} of token {token!r}") from None
    return table
