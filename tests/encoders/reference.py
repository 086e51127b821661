"""Vectors as sentence-transformers gives them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def reference_vectors(folder: Path, texts: list[str]) -> tuple[NDArray[np.float32], ...]:
    """Document and query vectors of SparseEncoder, both (texts, dim)."""
    from sentence_transformers import SparseEncoder

    model = SparseEncoder(str(folder), device="cpu", local_files_only=True)
    return tuple(
        encode(texts, convert_to_sparse_tensor=False, show_progress_bar=False).float().numpy()
        for encode in (model.encode_document, model.encode_query)
    )
