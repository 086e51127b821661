"""Is everything there that a recipe names, and does it fit? Asked before hours of work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from lexidex.errors import EncoderNotFound, ParameterError

from ..joint import check_shared
from ..layouts.settings import CONFIG
from .columns import SampledColumns
from .encoder_student import EncoderStudent
from .named_models import dense, located, retriever
from .pairs import Pairs
from .recipe import TrainingRecipe
from .sections import STUDENT, TeacherSection


def check_models(recipe: TrainingRecipe) -> None:
    """Look for what a recipe names besides its data; reads settings, no weights.

    Raises:
        EncoderNotFound: a model is not there.
        ParameterError: none is named where one is needed, or it cannot be used.
    """
    model = recipe.model
    if model.backbone is None and model.start is None:
        raise ParameterError("model.backbone: none given; name a folder (--backbone)")
    # A start that is trained needs no backbone, but for what is left of the layers.
    backbone = model.backbone if model.start is None or model.dense else None
    for setting, name in (("backbone", backbone), ("start", model.start)):
        if name is not None:
            with _telling(f"model.{setting}"):
                located(name)
    if model.dense and model.backbone is not None:
        check_shared(located(model.backbone), model.frozen_layers)
    for section in recipe.teachers:
        with _telling("teacher"):
            _check_teacher(section)
    if recipe.has_stored_scores and recipe.data.candidates is None:
        raise ParameterError(
            "teacher: 'stored' scores come with data.candidates; none given (--candidates)"
        )
    if recipe.mining is not None:
        _check_miners(recipe)


def _check_miners(recipe: TrainingRecipe) -> None:
    mining = recipe.mining
    assert mining is not None
    first = () if recipe.data.candidates is not None else mining.of_round(1)
    later = mining.of_round(2) if mining.rounds > 1 else ()
    if recipe.data.candidates is None and not first:
        raise ParameterError(
            f"mining.retrievers: {STUDENT!r} alone; the first round takes another one, such as "
            "bm25, or data.candidates"
        )
    if recipe.has_stored_scores and mining.rounds > 1:
        raise ParameterError(
            "teacher: 'stored' scores are those of data.candidates alone, and later rounds mine "
            "others; name another teacher"
        )
    for name in {*first, *later}:
        if name != STUDENT:
            with _telling("mining.retrievers"):
                retriever(name)


def _check_teacher(section: TeacherSection) -> None:
    from ..loading import load_encoder

    if section.path is None:
        return
    if section.kind == "encoder":
        load_encoder(section.path)
    elif section.kind == "dense":
        dense(section.path, section.max_length)
    elif not (located(section.path) / CONFIG).is_file():
        raise EncoderNotFound(f"{section.path!r}: no {CONFIG} in that folder")


@contextmanager
def _telling(setting: str) -> Iterator[None]:
    """Name the setting before a model that is not there."""
    try:
        yield
    except EncoderNotFound as error:
        raise EncoderNotFound(f"{setting}: {error}") from None


def check_start(recipe: TrainingRecipe, student: EncoderStudent, pairs: Pairs) -> None:
    """Refuse what the loop, or the way out of it, would refuse later.

    Args:
        recipe: what is to be done.
        student: as it starts.
        pairs: what is trained on.

    Raises:
        ParameterError: a number is too large for the model or the data, or the head is of a kind
            that the task cannot train.
    """
    longest, wanted = student.encoder.checkpoint.documents.positions, recipe.model.encoding_length
    if longest is not None and wanted is not None and wanted > longest:
        raise ParameterError(
            f"model.encoding_length: {wanted}; {recipe.model.backbone or recipe.model.start} takes "
            f"{longest} tokens"
        )
    if recipe.training.negatives >= len(pairs.documents):
        raise ParameterError(
            f"training.negatives: {recipe.training.negatives}; there are only "
            f"{len(pairs.documents)} documents to train on"
        )
    if recipe.columns is not None:
        frequent = np.arange(min(recipe.columns.frequent, student.dim))
        SampledColumns(student.dim, frequent, recipe.columns.drawn)
    if recipe.task == "masked-language-model":
        _ = student.expanding
    elif recipe.task == "term-recall":
        _ = student.weighing
