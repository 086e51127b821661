"""The start of a training that goes on from an encoder which was trained before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from lexidex.errors import ParameterError

from ..checkpoint import read_checkpoint
from ..learned import LearnedEncoder
from ..presets import PRESETS, Preset, find_preset
from ..pruning import NO_PRUNING
from ..recipe import BINARY, TABLE, Recipe
from .named_models import located
from .sections import ModelSection


def begin_trained(model: ModelSection, start: str, folder: Path) -> None:
    """Write the encoder that goes on learning into `folder`.

    It is pruned as its method says; its own pruning, and what draws its query weights towards a
    collection, are for searching.

    Args:
        model: what the recipe says of it.
        start: a folder, a hub id, or the name of a shipped model.
        folder: written.

    Raises:
        ParameterError: the encoder is of another method than `model.preset`; its dense side would
            change with the layers that it shares; or a
            dense side is asked for, and no backbone named.
    """
    place, method = located(start), find_preset(model.preset)
    is_open = read_checkpoint(place).undecided is not None
    trained = LearnedEncoder(
        place,
        activation=method.documents.activation if is_open else None,
        document_pruning=method.documents.pruning.options,
        query_pruning=method.queries.pruning.options,
        collection_idf=0.0,
    )
    check_method(trained, model.preset, start)
    joint = trained.checkpoint.joint
    if joint is not None and model.frozen_layers < joint.shared_layers:
        raise ParameterError(
            f"model.frozen_layers: {model.frozen_layers}; the dense vectors of {start} "
            f"come from the same {joint.shared_layers} layers, which have to stay as they are"
        )
    if joint is None and model.dense and model.backbone is None:
        raise ParameterError(
            f"model.dense: {start} has no dense side; give one by a backbone (--backbone)"
        )
    trained.save(folder)


def check_method(encoder: LearnedEncoder, preset: str, start: str) -> None:
    """Refuse an encoder whose sides are not those of a method.

    Raises:
        ParameterError: names the methods that it is of.
    """
    if _is_of(encoder, find_preset(preset)):
        return
    methods = [name for name, method in PRESETS.items() if _is_of(encoder, method)]
    told = f"is one of {' or '.join(methods)}" if methods else "is one of no method known here"
    raise ParameterError(
        f"model.preset: {preset!r}; the encoder {start} {told}, and goes on as what it is"
    )


def _is_of(encoder: LearnedEncoder, method: Preset) -> bool:
    """Whether texts are weighed as the method does, whatever is pruned afterwards."""
    documents, queries = encoder.checkpoint.documents, encoder.checkpoint.queries
    separate = queries.recipe.has_model and queries.folder != documents.folder
    asked = _weighing(queries.recipe)
    if method.queries.head == BINARY and _weighs_by_ones(encoder):
        asked = _weighing(method.queries)  # files may write binary queries as a table
    said = _weighing(documents.recipe), asked, separate
    return said == (_weighing(method.documents), _weighing(method.queries), method.separate)


def _weighs_by_ones(encoder: LearnedEncoder) -> bool:
    """Whether queries are weighed by a table that leaves words in or out, and no more."""
    if encoder.checkpoint.queries.recipe.head != TABLE:
        return False
    table = encoder.queries.table
    return table is not None and bool(np.isin(table, (0, 1)).all())


def _weighing(recipe: Recipe) -> Recipe:
    """The recipe without what changes no weight, or nothing but which weights are kept."""
    head = "mlm" if recipe.head == "residual" else recipe.head
    plain = replace(recipe, head=head, pruning=NO_PRUNING, collection_idf=0.0)
    # Special tokens weigh 0 in tables, whether they are masked as well or not.
    has_table = head == TABLE or recipe.own_terms
    return replace(plain, masked=()) if has_table else plain
