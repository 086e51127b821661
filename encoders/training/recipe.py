"""A recipe: a whole training in tables of settings, checked before anything is loaded.

Keys that do not exist are errors that name the nearest one that does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError, model_validator

from lexidex.errors import ParameterError

from .loss import Objective, Regulariser
from .negatives import Band
from .sections import (
    BACKBONE,
    ColumnsSection,
    DataSection,
    EnsembleSection,
    HeldOutSection,
    MaskedSection,
    MiningSection,
    ModelSection,
    Section,
    TeacherSection,
    TrainingSection,
)


class TrainingRecipe(Section):
    """A whole training."""

    name: str
    source: str = Field("", description="where the recipe was published")
    task: Literal["retrieval", "masked-language-model", "term-recall"] = "retrieval"
    model: ModelSection
    data: DataSection = DataSection()
    held_out: HeldOutSection = HeldOutSection()
    teacher: tuple[TeacherSection, ...] = ()
    ensemble: EnsembleSection = EnsembleSection()
    objective: tuple[Objective, ...] = ()
    regulariser: tuple[Regulariser, ...] = ()
    columns: ColumnsSection | None = None
    mining: MiningSection | None = None
    masked: MaskedSection = MaskedSection()
    training: TrainingSection

    @model_validator(mode="after")
    def _consistent(self) -> TrainingRecipe:
        if self.task == "retrieval" and not self.objective:
            raise ValueError("objective: none given; training for retrieval needs one")
        taught = any(objective.needs_teacher for objective in self.objective)
        filtered = self.mining is not None and self.mining.filters
        if (taught or filtered) and not self.teacher:
            raise ValueError("teacher: none given; an objective or a margin of mining needs one")
        alone = [each.name for each in self.objective if not each.of_batch]
        if alone and not self.training.negatives:
            raise ValueError(
                f"training.negatives: 0; {alone[0]} over lists of one document teaches nothing: "
                'take negatives, or over = "batch"'
            )
        if self.objective and self.training.batch * (1 + self.training.negatives) == 1:
            raise ValueError(
                "training.batch: 1; a query beside its own document alone teaches nothing: take "
                "more queries, or training.negatives"
            )
        if self.training.chunk is not None and self.columns is not None:
            raise ValueError(
                "training.chunk: gradient caching needs all columns; leave out [columns] or chunk"
            )
        if self.columns is not None and any(each.name == "df-flops" for each in self.regulariser):
            raise ValueError("regulariser: df-flops counts all terms; leave out [columns]")
        return self

    @model_validator(mode="after")
    def _negatives_taken(self) -> TrainingRecipe:
        given = self.data.candidates is not None or self.mining is not None
        if given and not self.training.negatives:
            what = "[mining]" if self.data.candidates is None else "data.candidates"
            raise ValueError(
                f"training.negatives: 0; what {what} gives would not be looked at: take negatives "
                "(training.negatives=1), or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _teachers_fit(self) -> TrainingRecipe:
        reference = self.ensemble.rescaled_to
        if reference is not None and reference >= len(self.teacher):
            raise ValueError(
                f"ensemble.rescaled_to: {reference}; there are {len(self.teacher)} teachers, from 0"
            )
        if self.training.block > 1 and all(each.kind != "dense" for each in self.teacher):
            raise ValueError(
                f"training.block: {self.training.block}; blocks of like queries need a teacher of "
                "kind dense"
            )
        return self

    @model_validator(mode="after")
    def _stored_scores(self) -> TrainingRecipe:
        if not self.has_stored_scores:
            return self
        of_batch = [each.name for each in self.objective if each.needs_teacher and each.of_batch]
        if of_batch:
            raise ValueError(
                "teacher: 'stored' scores are those of candidate lists, and "
                f"{of_batch[0]} compares all of a batch; distil over lists (kl, margin-mse), or "
                "name another teacher"
            )
        return self

    @model_validator(mode="after")
    def _mined_before(self) -> TrainingRecipe:
        mining = self.mining
        if self.data.candidates and mining is not None and mining.filters and mining.rounds == 1:
            raise ValueError(
                "mining: its margins apply to what is mined here, and data.candidates were mined "
                "before: leave out the margins, or the candidates"
            )
        return self

    @model_validator(mode="after")
    def _documents_alone(self) -> TrainingRecipe:
        if self.task == "retrieval":
            return self
        if self.training.chunk is not None or self.columns is not None:
            what = "training.chunk" if self.training.chunk is not None else "columns"
            raise ValueError(f"{what}: is for retrieval; leave it out in task {self.task!r}")
        if self.task == "term-recall" and (self.regulariser or self.objective):
            what = "regulariser" if self.regulariser else "objective"
            raise ValueError(f"{what}: task 'term-recall' takes none; it is its own objective")
        for each in self.regulariser:
            if each.side == "queries" or each.name in ("idf-flops", "df-flops"):
                raise ValueError(
                    f"regulariser: {each.name!r} of {each.side}; middle training has documents "
                    "alone, and knows neither IDF nor document frequencies"
                )
        return self

    @property
    def has_stored_scores(self) -> bool:
        """Whether a teacher knows the candidate lists alone."""
        return any(each.kind == "stored" for each in self.teacher)

    @property
    def teachers(self) -> tuple[TeacherSection, ...]:
        """The teachers, with the model's backbone in the place of its name, BACKBONE."""
        # Not resolved in `teacher`: a recipe whose backbone is changed has to teach by the new one.
        if self.model.backbone is None:
            return self.teacher
        path = {"path": self.model.backbone}
        return tuple(
            each.model_copy(update=path) if each.path == BACKBONE else each for each in self.teacher
        )

    def changed(self, settings: Mapping[str, Any]) -> TrainingRecipe:
        """This recipe with settings replaced, by their dotted names ("training.steps").

        Raises:
            ParameterError: there is no such setting, or it cannot have that value.
        """
        described = self.model_dump(mode="json", exclude_none=True)
        for name, value in settings.items():
            *tables, last = name.split(".")
            place = described
            for table in tables:
                place = place.setdefault(table, {})
                if not isinstance(place, dict):
                    raise ParameterError(f"{name}: {table!r} is no table of settings")
            place[last] = value
        return parse_recipe(described, "recipe")


def parse_recipe(described: Mapping[str, Any], where: str) -> TrainingRecipe:
    """A recipe from the tables of a file.

    Raises:
        ParameterError: names every unknown key, with the nearest known one, and every wrong value.
    """
    try:
        return TrainingRecipe.model_validate(described, strict=False)
    except ValidationError as error:
        problems = "; ".join(_told(problem) for problem in error.errors())
        raise ParameterError(f"{where}: {problems}") from None


def settings() -> list[str]:
    """The dotted names of all settings."""

    def below(kind: Any, prefix: str) -> Iterable[str]:
        for name, annotation in _annotations(kind).items():
            table = _table_in(annotation)
            if table is None or table is Band:
                yield prefix + name
            else:
                yield from below(table, f"{prefix}{name}.")

    return list(below(TrainingRecipe, ""))


def _told(problem: Any) -> str:
    """One problem in one clause: which key, its value, what to do."""
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = list(_fields_at(TrainingRecipe, problem["loc"][:-1]))
        near = get_close_matches(str(problem["loc"][-1]), known, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        return f"{place}: unknown key; {hint}"
    if problem["type"] == "missing":
        return f"{place}: has to be given"
    said = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{place}: {said}" if place else said
    return f"{place}: {problem['input']!r}; {said[:1].lower()}{said[1:]}"


def _fields_at(kind: Any, place: Sequence[int | str]) -> Iterable[str]:
    """The keys that a table may have, given the way to it."""
    for part in place:
        if isinstance(part, int):
            continue
        kind = _table_in(_annotations(kind)[part])
    return _annotations(kind)


def _table_in(annotation: Any) -> Any:
    """The table that a setting of that type is, or several are; None for plain values."""
    if get_origin(annotation) in (tuple, UnionType, Union):
        found = [_table_in(each) for each in get_args(annotation)]
        return next((each for each in found if each is not None), None)
    is_table = isinstance(annotation, type) and (
        issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)
    )
    return annotation if is_table else None


def _annotations(kind: Any) -> dict[str, Any]:
    """The keys of a table, with their types where a table may stand below them."""
    if issubclass(kind, BaseModel):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    return {field.name: field.type for field in dataclasses.fields(kind)}
