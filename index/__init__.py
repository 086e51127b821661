"""Vectors -> top k: exact and approximate indexes. Knows nothing of text models."""

from .allowed import Allowed
from .dense import DenseIndex, DenseParams, DenseSearchParams
from .exact import ExactIndex
from .seismic import BuildParams, SearchParams, SeismicBuilder, SeismicIndex
from .topk import Counters, TopK

__all__ = [
    "Allowed",
    "BuildParams",
    "Counters",
    "DenseIndex",
    "DenseParams",
    "DenseSearchParams",
    "ExactIndex",
    "SearchParams",
    "SeismicBuilder",
    "SeismicIndex",
    "TopK",
]
