"""Inference-free queries: the weight of a token comes from a table, no model runs.

    w_t = table[t]   for each distinct token t of the query;  or 1, without a table

The table holds inverse document frequencies or learned weights (OpenSearch neural sparse,
arXiv 2411.04403; Li-LSR, arXiv 2505.01452); a token that is repeated counts once. Weights of 1 are
BINARY in the unified framework: SPLADE-doc, TILDEv2, SPARTA, and on words DeepImpact. Needs
`tokenizers` alone.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lexidex.errors import CorruptFile, ParameterError
from lexidex.index.vectors import Float32s, Vectors, build_vectors

from .base import Texts
from .collection_idf import CollectionIdf
from .json_file import read_json
from .terms import Tokens, WordTerms
from .tokenizer import ModelTokenizer
from .weights import read_tensor

if TYPE_CHECKING:
    from .networks.side import SideModule, StaticModule


class StaticSide:
    """Texts -> the table's weights of their distinct tokens."""

    def __init__(
        self,
        tokenizer: ModelTokenizer,
        table: Float32s,
        dim: int | None = None,
        prompt: str = "",
        learned: bool = True,
        collection_idf: CollectionIdf | None = None,
    ) -> None:
        """Take a table that `read_table` returned.

        Args:
            tokenizer: without special tokens.
            table: float32 (terms,), finite and not negative.
            dim: number of components of the vectors, at least the table's; None for as many.
            prompt: what each text is preceded by.
            learned: whether training may change the table.
            collection_idf: how weights depend on the collection; None for not at all.

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
        self.collection_idf = collection_idf
        self._given = table
        self._prompt = prompt
        self._learned = learned
        self._module: StaticModule | None = None

    @property
    def identity(self) -> list[Any]:
        return [zlib.crc32(self.table.tobytes()), self.tokenizer.identity, self._prompt]

    @property
    def table(self) -> Float32s:
        """Weights of tokens, float32 (terms,), 0 for those that weigh nothing."""
        if self._module is None or self._module.weight is None:
            return self._given
        trained: Float32s = self._module.weight.detach().relu().cpu().numpy()
        return trained

    def tokens(self, texts: Texts) -> list[Tokens]:
        found = self.tokenizer.encode([self._prompt + text for text in texts])
        return [Tokens(ids, np.array(ids, dtype=np.int32)) for ids in found]

    def encode(self, texts: Texts) -> Vectors:
        rows, table = [], self.table
        for text in self.tokens(texts):
            components = np.unique(text.terms)
            values = table[components]
            used = values > 0
            rows.append((components[used], values[used]))
        return build_vectors(rows, self.dim)

    def module(self) -> SideModule:
        from .networks.side import StaticModule

        if self._module is None:
            self._module = StaticModule(self.dim, self._given, self._learned)
        return self._module


class BinaryWordSide:
    """Texts -> 1 for each of their distinct words that has a component."""

    def __init__(self, terms: WordTerms, prompt: str = "") -> None:
        """Take the words.

        Args:
            terms: of a vocabulary that documents let grow.
            prompt: what each text is preceded by.
        """
        self.tokenizer = terms.tokenizer
        self._terms = terms
        self._prompt = prompt

    @property
    def dim(self) -> int:
        return self._terms.dim

    @property
    def table(self) -> None:
        return None

    @property
    def identity(self) -> list[Any]:
        return ["binary", self._terms.identity, self._prompt]

    def tokens(self, texts: Texts) -> list[Tokens]:
        return self._terms.read([self._prompt + text for text in texts])

    def encode(self, texts: Texts) -> Vectors:
        rows = []
        for text in self.tokens(texts):
            components = np.unique(text.terms[text.terms >= 0])
            rows.append((components, np.ones(components.size, dtype=np.float32)))
        return build_vectors(rows, self.dim)

    def module(self) -> SideModule:
        from .networks.side import StaticModule

        return StaticModule(self.dim)


def read_table(place: Path, tokenizer: ModelTokenizer) -> Float32s:
    """The weights of all tokens, float32 (terms,); at least the tokenizer's.

    Args:
        place: a folder that holds a tensor named "weight"; or a file, {token: weight} as JSON, or
            lines of a token and its weight. Tokens that a file lacks weigh nothing.
        tokenizer: which tokens there are.

    Raises:
        CorruptFile: a file is missing or unreadable, or has fewer terms than the tokenizer.
        ParameterError: a weight is negative or not finite.
    """
    table = read_tensor(place, "weight") if place.is_dir() else _from_file(place, tokenizer)
    if table.ndim != 1 or table.size < len(tokenizer):
        raise CorruptFile(
            f"{place}: a table of shape {table.shape} for a vocabulary of {len(tokenizer)} tokens"
        )
    wrong = np.flatnonzero(~(np.isfinite(table) & (table >= 0)))
    if wrong.size:
        token = tokenizer.token(int(wrong[0]))
        raise ParameterError(
            f"{place}: weight {table[wrong[0]]} of token {token!r}; weights of query tokens must "
            "be finite and not negative"
        )
    return table


def _from_file(file: Path, tokenizer: ModelTokenizer) -> Float32s:
    table = np.zeros(len(tokenizer), dtype=np.float32)
    listed = read_json(file) if file.suffix == ".json" else _read_lines(file)
    for token, weight in listed.items():
        component = tokenizer.id(token)
        if component is not None:
            try:
                table[component] = weight
            except (TypeError, ValueError):
                raise CorruptFile(f"{file}: weight {weight!r} of token {token!r}") from None
    return table


def _read_lines(file: Path) -> dict[str, str]:
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptFile(f"{file}: cannot be read: {error}") from None
    found = (line.rsplit(None, 1) for line in lines)
    return {parts[0]: parts[1] for parts in found if len(parts) == 2}
