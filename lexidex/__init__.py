"""Lexidex: learned sparse retrieval for Python."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lexidex.collection import Collection
    from lexidex.errors import LexidexError
    from lexidex.passages import PassageParams
    from lexidex.reranking import RerankParams

__all__ = ["Collection", "LexidexError", "PassageParams", "RerankParams", "__version__"]

_HOMES = {
    "Collection": "lexidex.collection",
    "LexidexError": "lexidex.errors",
    "PassageParams": "lexidex.passages",
    "RerankParams": "lexidex.reranking",
}


def __getattr__(name: str) -> object:
    """Public names are imported when first used, so that `import lexidex` stays light."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lexidex' has no attribute {name!r}")
