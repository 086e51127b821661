"""The models that a recipe names: teachers, retrievers, dense models, folders and ids on a hub."""

from __future__ import annotations

import os
from collections.abc import MutableMapping, Sequence
from pathlib import Path

import numpy as np

from lexidex.errors import EncoderNotFound, ParameterError
from lexidex.index.vectors import Int64s

from ..base import Encoder
from ..dense import DenseEncoder
from ..locating import locate
from .candidates import Candidates
from .negatives import DenseRetriever, Retriever, SparseRetriever
from .pairs import Pairs
from .plan import Plan
from .recipe import TrainingRecipe
from .sections import TeacherSection
from .teachers import (
    CrossEncoderTeacher,
    DenseTeacher,
    Ensemble,
    SparseTeacher,
    StoredTeacher,
    Teacher,
)

CROSS_ENCODER_LENGTH = 256
"""Tokens of query and document together, where the recipe does not tell."""

_RESCALED_ON = 256
"""Examples that a teacher's mean and deviation are taken from."""


def ensemble(
    recipe: TrainingRecipe,
    pairs: Pairs,
    candidates: Candidates | None = None,
    known: MutableMapping[TeacherSection, Teacher] | None = None,
) -> Ensemble:
    """The teachers of a recipe as one.

    Args:
        recipe: names them.
        pairs: whose rows they score.
        candidates: what stored scores and rescaling are taken from.
        known: teachers of the same pairs that were made before; new ones are added.
    """
    settings, known = recipe.ensemble, {} if known is None else known
    for section in recipe.teachers:
        if section not in known or section.kind == "stored":
            known[section] = teacher_of(section, pairs, candidates, recipe.training.precision)
    teachers = [known[section] for section in recipe.teachers]
    weights = [section.weight for section in recipe.teachers]
    combined = Ensemble(teachers, weights, settings.normalisation, settings.scale)
    if settings.rescaled_to is None or candidates is None:
        return combined
    queries, lists = _as_trained(recipe, pairs, candidates)
    return combined.rescaled(teachers[settings.rescaled_to], queries, lists)


def judge(
    recipe: TrainingRecipe, pairs: Pairs, known: MutableMapping[TeacherSection, Teacher]
) -> Ensemble:
    """Who decides by margins which candidates are negatives, in the unit that training scores in.

    The teacher that an ensemble is rescaled to, alone: levelled scores know no such unit before
    there are lists to take it from. Otherwise the ensemble.
    """
    reference = recipe.ensemble.rescaled_to
    if reference is None:
        return ensemble(recipe, pairs, known=known)
    section = recipe.teachers[reference]
    if section not in known:
        known[section] = teacher_of(section, pairs, precision=recipe.training.precision)
    return Ensemble([known[section]], [1.0])


def _as_trained(
    recipe: TrainingRecipe, pairs: Pairs, candidates: Candidates
) -> tuple[Int64s, Int64s]:
    """Queries int64 (n,) and documents int64 (n, candidates) as steps put them together.

    Not the mined lists as they are: these may be of any length, that of a positive alone included,
    and what min-max makes of a list depends on its length.
    """
    training = recipe.training
    negatives = max(training.negatives, 1)
    plan = Plan(
        candidates,
        len(pairs.documents),
        _RESCALED_ON,
        negatives=negatives,
        repeats=recipe.has_stored_scores,
        seed=training.seed,
    )
    examples = [plan[place] for place in range(len(plan))]
    queries = np.array([example.query for example in examples], dtype=np.int64)
    return queries, np.stack([example.documents for example in examples])


def combined(sections: Sequence[TeacherSection], pairs: Pairs) -> Ensemble:
    """Teachers levelled and averaged, as they filter mined negatives; one alone as it is."""
    teachers = [teacher_of(section, pairs) for section in sections]
    if len(teachers) == 1:
        return Ensemble(teachers, [1.0])
    return Ensemble(teachers, [1 / len(teachers)] * len(teachers), "min-max")


def teacher_of(
    section: TeacherSection,
    pairs: Pairs,
    candidates: Candidates | None = None,
    precision: str = "fp32",
) -> Teacher:
    """One teacher; a dense model computes in `precision`, "fp16" being none for a CPU."""
    from ..loading import load_encoder

    if section.kind == "stored":
        if candidates is None:
            raise ParameterError("teacher: 'stored' scores come with data.candidates; none there")
        return StoredTeacher(candidates, pairs)
    if section.kind == "bm25":
        return SparseTeacher(load_encoder("bm25"), pairs)
    assert section.path is not None
    if section.kind == "encoder":
        return SparseTeacher(_placed(load_encoder(section.path)), pairs)
    if section.kind == "cross-encoder":
        length = section.max_length or CROSS_ENCODER_LENGTH
        folder = located(section.path)
        return CrossEncoderTeacher(folder, pairs, max_length=length, device=device())
    model = dense(section.path, section.max_length)
    return DenseTeacher(model, pairs, "bf16" if precision == "bf16" else "fp32")


def retriever(name: str) -> Retriever:
    """What mines: "dense:FOLDER", or any name that `load_encoder` knows."""
    from ..loading import load_encoder

    kind, _, path = name.partition(":")
    if kind == "dense" and path:
        return DenseRetriever(dense(path))
    return SparseRetriever(_placed(load_encoder(name)))


def device() -> str:
    """Where models compute: on this process's GPU, as what is trained, or on the processor."""
    import torch

    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"


def _placed(encoder: Encoder) -> Encoder:
    """The encoder, on a GPU if it takes one."""
    if encoder.devices() != ["cpu"]:
        encoder.use_device(device())
    return encoder


def dense(path: str, max_length: int | None = None) -> DenseEncoder:
    """The dense model in a folder or on a hub; one that does not tell is pooled by its mean."""
    from ..dense_model import DenseModelEncoder
    from ..layouts.settings import MODULES

    folder = located(path)
    pooling = None if (folder / MODULES).is_file() else "mean"
    encoder = DenseModelEncoder(folder, pooling=pooling, max_length=max_length)
    encoder.use_device(device())
    return encoder


def located(name: str) -> Path:
    """The folder of a model: itself, or what was fetched of a hub's.

    Raises:
        EncoderNotFound: there is none.
    """
    folder = locate(name, None, False)[2]
    if not folder.is_dir():
        raise EncoderNotFound(f"model {name!r}: no such folder, and no organisation/model")
    return folder
