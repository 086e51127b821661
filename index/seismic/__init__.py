"""Approximate search over posting lists in blocks with summaries, after Seismic."""

from .params import BuildParams, SearchParams
from .seismic_index import SeismicBuilder, SeismicIndex

__all__ = ["BuildParams", "SearchParams", "SeismicBuilder", "SeismicIndex"]
