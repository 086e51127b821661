"""Text -> vocabulary-sparse vectors. Knows nothing of the index but the type of a vector."""

from .base import DEFAULT_ENCODER, Encoder, Statistics
from .loading import load_encoder

__all__ = ["DEFAULT_ENCODER", "Encoder", "Statistics", "load_encoder"]
