"""Vectors -> top k: exact and approximate indexes. Knows nothing of text models."""

from .exact import ExactIndex
from .seismic import BuildParams, SearchParams, SeismicBuilder, SeismicIndex
from .topk import Counters, TopK

__all__ = [
    "BuildParams",
    "Counters",
    "ExactIndex",
    "SearchParams",
    "SeismicBuilder",
    "SeismicIndex",
    "TopK",
]
