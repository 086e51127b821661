"""Exact top k by inner product."""

from .exact_index import ExactIndex

__all__ = ["ExactIndex"]
