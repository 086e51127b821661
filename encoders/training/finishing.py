"""What a trained encoder gets on the way out: its length, the idf it learned with, a dense side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..collection_idf import inverse_document_frequencies, write_trained_idf
from ..joint import write_joint
from ..layouts import own
from ..learned import LearnedEncoder
from ..recipe import TABLE
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
    encoder = LearnedEncoder(folder, max_length=model.encoding_length)
    if encoder.checkpoint.queries.recipe.head == TABLE:
        table = encoder.checkpoint.queries.table
        assert table is not None
        vectors = encoder.encode_documents(documents[:COUNTED])
        df = np.bincount(vectors.indices, minlength=encoder.dim)
        write_trained_idf(table, inverse_document_frequencies(df, vectors.shape[0]))
        encoder = LearnedEncoder(
            folder, max_length=model.encoding_length, collection_idf=model.collection_idf
        )
    encoder.save(folder)
    if model.dense:
        assert model.backbone is not None
        joint = write_joint(folder, located(model.backbone), model.frozen_layers)
        checkpoint = encoder.checkpoint
        own.write_description(folder, checkpoint.documents, checkpoint.queries, joint)
