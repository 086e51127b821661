"""Vectors -> top k: exact and approximate indexes. Knows nothing of text models."""

from .exact import ExactIndex
from .topk import Counters, TopK

__all__ = ["Counters", "ExactIndex", "TopK"]
