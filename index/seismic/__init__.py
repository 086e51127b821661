"""Approximate search over posting lists in blocks with summaries, after Seismic."""

from .builder import SeismicBuilder
from .params import BuildParams, SearchParams
from .seismic_index import SeismicIndex

__all__ = ["BuildParams", "SearchParams", "SeismicBuilder", "SeismicIndex"]
