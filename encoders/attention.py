"""Attention of a query over the dense vectors of a document: one score for a text of any length.

With queries q and a document's vectors k_1 ... k_n, those of its passages or sentences,

    s_i = (q W_q) . (k_i W_k),      a = softmax(s / T),      score = sum of a_i s_i

which is the inner product of the query with the sum of the vectors that it attends to (scaled
dot-product attention, arXiv 1706.03762, whose values are its keys). Without maps, W_q = W_k = 1, it
has one parameter: as T falls to 0 the score becomes that of the best passage (arXiv 1905.09217), as
it grows the mean of all. In between a document counts for more where several passages agree, as
legal cases and papers do that are found by the vectors of their sentences.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from lexidex.errors import CorruptFile, ParameterError, UnsupportedVersion
from lexidex.index.fusion import FusionParams
from lexidex.index.vectors import Float32s, Int64s

from .json_file import read_json, write_json
from .weights import read_safetensors, write_safetensors

DESCRIPTION = "lexidex_attention.json"
WEIGHTS = "attention.safetensors"
VERSION = 0

TEMPERATURE = 0.02
"""T of cosines, unless told otherwise; docs/RERANKING.md has figures."""

FUSION = FusionParams("min-max")
"""How scores are fused with those of the search before, unless told otherwise."""


@dataclass(frozen=True)
class Attended:
    """What attention makes of n documents.

    Attributes:
        scores: float32 (n,); NaN for a document without a vector.
        best: int64 (n,), the vector with the largest weight; -1 for a document without any.
    """

    scores: Float32s
    best: Int64s


@dataclass(frozen=True, eq=False)
class Attention:
    """The parameters of attention.

    Attributes:
        temperature: T, above 0.
        query_map, key_map: W_q and W_k, float32 (d, width); None for both leaves vectors as they
            are.
        fusion: how its scores are fused with those of the search before.
        encoder: fingerprint of the dense encoder that the maps were trained for; None for any.

    Raises:
        ParameterError: one is out of its range, or maps do not fit each other.
    """

    temperature: float = TEMPERATURE
    query_map: Float32s | None = None
    key_map: Float32s | None = None
    fusion: FusionParams = field(default=FUSION)
    encoder: str | None = None

    def __post_init__(self) -> None:
        given = self.temperature
        if isinstance(given, bool) or not isinstance(given, int | float) or not _above_0(given):
            raise ParameterError(f"temperature: {given!r}; expected a finite number above 0")
        maps = [one for one in (self.query_map, self.key_map) if one is not None]
        shapes = [one.shape for one in maps]
        if shapes and (len(shapes) == 1 or len(shapes[0]) != 2 or shapes[0] != shapes[1]):
            raise ParameterError(f"attention: maps of shapes {shapes}; expected two of one (d, w)")
        if not all(np.isfinite(one).all() for one in maps):
            raise ParameterError("attention: a map has a value that is not finite")

    @property
    def dim(self) -> int | None:
        """Dimensions of the vectors that it is for; None for any."""
        return None if self.query_map is None else int(self.query_map.shape[0])

    def scores(self, query: Float32s, vectors: Float32s, starts: Int64s) -> Attended:
        """The score of each document for one query.

        Args:
            query: float32 (d,).
            vectors: float32 (vectors, d), document by document.
            starts: int64 (documents + 1,), from 0: the first vector of each document, and the end.
        """
        if self.query_map is not None and self.key_map is not None:
            query = self.key_map @ (query @ self.query_map)
        counts = np.diff(starts)
        scores = np.full(counts.size, np.nan, dtype=np.float32)
        best = np.full(counts.size, -1, dtype=np.int64)
        some = np.flatnonzero(counts)
        if some.size:
            products = (vectors @ query).astype(np.float64)
            firsts = starts[:-1][some]
            highest = np.maximum.reduceat(products, firsts)
            shares = np.exp((products - np.repeat(highest, counts[some])) / self.temperature)
            sums = np.add.reduceat(shares, firsts)
            scores[some] = np.add.reduceat(shares * products, firsts) / sums
            at_highest = np.flatnonzero(products == np.repeat(highest, counts[some]))
            owners = np.searchsorted(firsts, at_highest, side="right") - 1
            best[some] = at_highest[np.unique(owners, return_index=True)[1]]
        return Attended(scores, best)

    def save(self, path: str | PathLike[str]) -> None:
        """Write it into the folder `path`: lexidex_attention.json, and its maps beside."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        if self.query_map is not None and self.key_map is not None:
            maps = {"query_map": self.query_map, "key_map": self.key_map}
            kept = {name: np.ascontiguousarray(one, np.float32) for name, one in maps.items()}
            write_safetensors(kept, folder / WEIGHTS)
        fused = asdict(self.fusion)
        write_json(
            folder / DESCRIPTION,
            {
                "version": VERSION,
                "temperature": self.temperature,
                "maps": self.query_map is not None,
                "fusion": {name: fused[name] for name in ("method", "weights", "rrf_k")},
                "encoder": self.encoder,
            },
        )

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Attention:
        """What `save` wrote.

        Raises:
            CorruptFile: a file is missing, truncated or does not belong to the other.
            UnsupportedVersion: another version wrote it.
        """
        folder = Path(path)
        described = read_json(folder / DESCRIPTION)
        if described.get("version") != VERSION:
            raise UnsupportedVersion(
                f"{folder / DESCRIPTION}: version {described.get('version')!r}; this Lexidex reads "
                f"{VERSION}"
            )
        maps: dict[str, Any] = {}
        if described.get("maps"):
            maps = dict(read_safetensors(folder / WEIGHTS))
        try:
            if described["maps"] != bool(maps) or maps.keys() - {"query_map", "key_map"}:
                raise ValueError(f"maps {sorted(maps)}")
            fusion = FusionParams(**described["fusion"])
            encoder = described["encoder"]
            return cls(described["temperature"], **maps, fusion=fusion, encoder=encoder)
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptFile(f"{folder / DESCRIPTION}: it cannot be used: {error!r}") from None


def is_attention(folder: Path) -> bool:
    """Whether `Attention.save` wrote this folder."""
    return (folder / DESCRIPTION).is_file()


def _above_0(value: float) -> bool:
    return math.isfinite(value) and value > 0
