"""An export on disk, beside the model that it was made of: the graph, and what it stands for."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lexidex.errors import CorruptFile, UnsupportedVersion

if TYPE_CHECKING:
    from ..projection import Pooling

FOLDER = "lexidex_onnx"
"""Where in a model's folder its export lies."""

_GRAPH = "model.onnx"
_DESCRIPTION = "export.json"
_VERSION = 0


@dataclass(frozen=True)
class Agreement:
    """How near the vectors of an export are to torch's fp32 ones, over the texts given.

    Attributes:
        texts: how many.
        cosine: mean cosine of a text's two vectors.
        least_cosine: the least of any text.
        top_terms: mean share of the 20 heaviest terms that both have.
        nnz: mean terms of a vector.
        torch_nnz: those of torch's.
    """

    texts: int
    cosine: float
    least_cosine: float
    top_terms: float
    nnz: float
    torch_nnz: float


@dataclass(frozen=True)
class Exported:
    """An export.

    Attributes:
        graph: the ONNX file.
        precision: "int8" or "fp32".
        pooling: "max" or "sum".
        activation: what is inside the sum; empty for the maximum, where it comes after.
        weights: digest of the model's weights.
        speedup: texts a second as a multiple of torch's, one thread, where it was made.
        agreement: with torch's vectors.
    """

    graph: Path
    precision: str
    pooling: str
    activation: str
    weights: str
    speedup: float
    agreement: Agreement

    def pools_like(self, pooling: Pooling) -> bool:
        """Whether scores that were pooled so are what the graph gives."""
        if self.pooling == "sum":
            return pooling.sums and pooling.activation == self.activation
        return not pooling.sums

    def describe(self) -> None:
        """Write the description beside the graph."""
        described = {"version": _VERSION, **asdict(self)}
        del described["graph"]
        text = json.dumps(described, indent=2) + "\n"
        (self.graph.parent / _DESCRIPTION).write_text(text, encoding="utf-8")


def graph_file(folder: Path) -> Path:
    """Where the graph of the model in `folder` belongs."""
    return folder / FOLDER / _GRAPH


def find_exported(folder: Path) -> Exported | None:
    """The export of the model in `folder`, if there is one.

    Raises:
        CorruptFile: its description cannot be read, or the graph is missing.
        UnsupportedVersion: a later version wrote it.
    """
    file = folder / FOLDER / _DESCRIPTION
    if not file.exists():
        return None
    try:
        described: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        version = described.pop("version")
        agreement = Agreement(**described.pop("agreement"))
        found = Exported(graph=graph_file(folder), agreement=agreement, **described)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptFile(f"{file}: not an export's description: {error}") from None
    if version != _VERSION:
        raise UnsupportedVersion(f"{file}: version {version}; this Lexidex reads {_VERSION}")
    if not found.graph.is_file():
        raise CorruptFile(f"{found.graph}: missing; make it again by `lexidex models export`")
    return found
