"""What a trained encoder gets on the way out: its length, the idf it learned with, a dense side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..collection_idf import inverse_document_frequencies, write_trained_idf
from ..joint import write_joint
from ..layouts import own
from ..learned import LearnedEncoder
from ..recipe import TABLE
from ..weights import read_tensor
from .named_models import located
from .recipe import TrainingRecipe

COUNTED = 5000
"""Documents, at most, that the idf is taken from."""


def finish(folder: Path, recipe: TrainingRecipe, documents: Sequence[str]) -> None:
    """Complete the encoder that a training has written into `folder`.

    Args:
        folder: of the encoder.
        recipe: what `model` says of it.
        documents: like those that it learned from; whose terms are counted, expansion included.

    Raises:
        ParameterError: a dense side of a backbone that has no more layers than are shared.
    """
    model = recipe.model
    settings: dict[str, Any] = {
        "max_length": model.encoding_length,
        "document_pruning": model.document_pruning,
    }
    encoder = LearnedEncoder(folder, **settings)
    if encoder.checkpoint.queries.recipe.head == TABLE:
        table = encoder.checkpoint.queries.table
        assert table is not None
        vectors = encoder.encode_documents(documents[:COUNTED])
        # A vocabulary may be rounded up beyond the table.
        n_terms = read_tensor(table, "weight").size
        df = np.bincount(vectors.indices, minlength=n_terms)[:n_terms]
        write_trained_idf(table, inverse_document_frequencies(df, vectors.shape[0]))
        encoder = LearnedEncoder(folder, **settings, collection_idf=model.collection_idf)
    encoder.save(folder)
    checkpoint = encoder.checkpoint
    queries, joint = checkpoint.queries, checkpoint.joint
    if not queries.recipe.has_model:
        # What limited them in training was the size of batches alone.
        queries = replace(queries, max_length=None)
    if model.dense and joint is None:
        assert model.backbone is not None
        joint = write_joint(folder, located(model.backbone), model.frozen_layers)
    if joint != checkpoint.joint or queries != checkpoint.queries:
        own.write_description(folder, checkpoint.documents, queries, joint)
