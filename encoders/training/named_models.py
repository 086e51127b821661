"""The models that a recipe names: teachers, retrievers, dense models, folders and ids on a hub."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lexidex.errors import ParameterError

from .candidates import Candidates
from .negatives import DenseRetriever, Retriever, SparseRetriever
from .pairs import Pairs
from .recipe import TeacherSection, TrainingRecipe
from .teachers import (
    CrossEncoderTeacher,
    DenseTeacher,
    Ensemble,
    SparseTeacher,
    StoredTeacher,
    Teacher,
)

if TYPE_CHECKING:
    from .dense_model import DenseModel

_RESCALED_ON = 256
"""Lists that a teacher's mean and deviation are taken from."""


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
    for section in recipe.teacher:
        if section not in known or section.kind == "stored":
            known[section] = teacher_of(section, pairs, candidates)
    teachers = [known[section] for section in recipe.teacher]
    weights = [section.weight for section in recipe.teacher]
    combined = Ensemble(teachers, weights, settings.normalisation, settings.scale)
    if settings.rescaled_to is None or candidates is None:
        return combined
    if settings.rescaled_to >= len(teachers):
        raise ParameterError(
            f"ensemble.rescaled_to: {settings.rescaled_to}; there are {len(teachers)} teachers"
        )
    width = min(documents.size for documents in candidates.documents)
    lists = np.stack([documents[:width] for documents in candidates.documents[:_RESCALED_ON]])
    queries = candidates.queries[:_RESCALED_ON]
    return combined.rescaled(teachers[settings.rescaled_to], queries, lists)


def combined(sections: Sequence[TeacherSection], pairs: Pairs) -> Ensemble:
    """Teachers levelled and averaged, as they filter mined negatives; one alone as it is."""
    teachers = [teacher_of(section, pairs) for section in sections]
    if len(teachers) == 1:
        return Ensemble(teachers, [1.0])
    return Ensemble(teachers, [1 / len(teachers)] * len(teachers), "min-max")


def teacher_of(
    section: TeacherSection, pairs: Pairs, candidates: Candidates | None = None
) -> Teacher:
    """One teacher."""
    from ..loading import load_encoder

    if section.kind == "stored":
        if candidates is None:
            raise ParameterError("teacher: 'stored' scores come with data.candidates; none there")
        return StoredTeacher(candidates, pairs)
    if section.kind == "bm25":
        return SparseTeacher(load_encoder("bm25"), pairs)
    assert section.path is not None
    if section.kind == "encoder":
        return SparseTeacher(load_encoder(section.path), pairs)
    if section.kind == "cross-encoder":
        return CrossEncoderTeacher(located(section.path), pairs, max_length=section.max_length)
    return DenseTeacher(dense(section.path, section.max_length).encode, pairs)


def retriever(name: str) -> Retriever:
    """What mines: "dense:FOLDER", or any name that `load_encoder` knows."""
    from ..loading import load_encoder

    kind, _, path = name.partition(":")
    if kind == "dense" and path:
        return DenseRetriever(dense(path).encode)
    return SparseRetriever(load_encoder(name))


def dense(path: str, max_length: int | None = None) -> DenseModel:
    """The dense model in a folder or on a hub."""
    import torch

    from .dense_model import DenseModel

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return DenseModel(located(path), max_length=max_length, device=device)


def located(name: str) -> Path:
    """The folder of a model: itself, or what was fetched of a hub's."""
    from ..hub import fetch, looks_like_hub_id

    folder = Path(name)
    if folder.is_dir() or not looks_like_hub_id(name):
        if not folder.is_dir():
            raise ParameterError(f"{name!r}: no such folder, and no organisation/model")
        return folder
    return fetch(name, None)
