"""Dense vectors -> top k, by FAISS. Knows nothing of text models, nor of sparse vectors."""

from .dense_index import DenseIndex
from .params import DenseParams, DenseSearchParams
from .rows import DenseRows
from .vectors import METRICS, Metric

__all__ = ["METRICS", "DenseIndex", "DenseParams", "DenseRows", "DenseSearchParams", "Metric"]
