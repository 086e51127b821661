"""Metadata filters: a JSON object -> an expression -> which documents of a segment it lets through.

Knows metadata and documents by their numbers; nothing of vectors, nor of text models.
"""

from .columns import Columns
from .evaluation import evaluate
from .expression import Expression
from .facets import FacetCount, FacetCounts
from .masks import MaskCache, Selection
from .parsing import parse_filter
from .writer import ColumnsWriter

__all__ = [
    "Columns",
    "ColumnsWriter",
    "Expression",
    "FacetCount",
    "FacetCounts",
    "MaskCache",
    "Selection",
    "evaluate",
    "parse_filter",
]
