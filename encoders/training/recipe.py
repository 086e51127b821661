"""Recipes: a whole training in one TOML file, checked before anything is loaded.

The package brings one for each published recipe (`recipe_names`), with the published numbers and
their source beside them. Keys that do not exist are errors that name the nearest one that does.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lexidex.errors import InputError, NotFound, ParameterError

from ..presets import find_preset
from ..pruning import as_pruning
from .loss import Objective, Regulariser
from .negatives import Band

Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Count: TypeAlias = Annotated[int, Field(gt=0)]
NotNegative: TypeAlias = Annotated[int, Field(ge=0)]

BACKBONE = "backbone"
"""As a teacher's path: the model that the student starts from."""

STUDENT = "student"
"""As a retriever: the encoder that the round before has trained."""

_SUFFIX = ".toml"


class Section(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ModelSection(Section):
    """What is trained, and from what it starts."""

    preset: str = Field(description="a method, see `lexidex.encoders.presets`")
    backbone: str | None = Field(
        default=None, description="folder or hub id that weights come from"
    )
    start: str | None = Field(
        default=None,
        description="trained encoder that goes on learning, in place of a fresh one: what shapes "
        "a fresh one (layers, identity_layers, active, residual) is not looked at; has to be of "
        "the preset's method",
    )
    layers: Count | None = Field(default=None, description="keep only the lowest layers")
    frozen_layers: NotNegative = Field(
        default=0, description="lowest layers that are not trained, and the embeddings with them"
    )
    cached_states: bool = Field(default=False, description="run frozen layers once a text")
    identity_layers: NotNegative = Field(
        default=0, description="highest layers kept that begin by handing states through"
    )
    active: Share | None = Field(
        default=None,
        description="calibrate a fresh head such that texts start with this share of all terms",
    )
    residual: NotNegative = Field(
        default=0, description="width of a residual network in the head; 0: none"
    )
    dropout: bool | None = Field(
        default=None,
        description="drop out as the backbone's settings say; None: unless states are cached, "
        "which leaves no layer dropout, trained ones neither",
    )
    max_length: Count = Field(default=256, description="most tokens of a document")
    encoding_length: Count | None = Field(
        default=None, description="most tokens of a document once trained; None: `max_length`"
    )
    document_pruning: str | None = Field(
        default=None, description="what is kept of documents once trained, such as top_k=250"
    )
    query_max_length: Count = Field(default=64, description="most tokens of a query")
    collection_idf: Share = Field(
        default=0.0, description="how far query weights are drawn towards the collection searched"
    )
    dense: bool = Field(
        default=False,
        description="put the backbone's other layers beside, for dense vectors in the same pass",
    )
    frozen_table: bool = Field(default=False, description="query weights from a table stay at IDF")

    @model_validator(mode="after")
    def _known(self) -> ModelSection:
        find_preset(self.preset)
        as_pruning(self.document_pruning, "document_pruning")
        return self

    @model_validator(mode="after")
    def _frozen(self) -> ModelSection:
        if self.cached_states and self.frozen_layers == 0:
            raise ValueError("cached_states: layers that are trained cannot be cached")
        if self.dense and self.frozen_layers == 0:
            raise ValueError("dense: needs frozen_layers, which both vectors share")
        return self

    @model_validator(mode="after")
    def _heeded(self) -> ModelSection:
        if self.cached_states and self.dropout:
            raise ValueError("dropout: true; with cached_states nothing can drop out")
        if self.start is not None:
            return self
        if self.identity_layers and self.active is None:
            raise ValueError(
                f"identity_layers: {self.identity_layers}; they begin so where a fresh head is "
                "calibrated: give active, too"
            )
        if self.layers is not None and self.frozen_layers + self.identity_layers > self.layers:
            raise ValueError(
                f"identity_layers: {self.identity_layers}; of {self.layers} layers "
                f"{self.frozen_layers} are frozen, and stay as they are"
            )
        return self

    @property
    def drops_out(self) -> bool:
        """Whether the backbone drops out in training."""
        return not self.cached_states if self.dropout is None else self.dropout


class DataSection(Section):
    """Pairs, texts without queries, and candidate lists that were mined before."""

    pairs: tuple[str, ...] = Field(
        default=(), description="files or folders, see `pairs.read_pairs`"
    )
    split: str = Field(default="train", description="which qrels of a BEIR folder")
    texts: tuple[str, ...] = Field(
        default=(), description="documents without queries, as `lexidex index` reads them"
    )
    made_of_texts: NotNegative = Field(
        default=1, description="queries made of each document of `texts`, see `made_queries`"
    )
    made_of_pairs: NotNegative = Field(
        default=0, description="queries made of each document of `pairs`, beside its own"
    )
    limit: Count | None = Field(
        default=None, description="documents drawn of each of `pairs` and `texts`"
    )
    limits: dict[str, Count] = Field(
        default={}, description="the same for single ones, by the last part of their paths"
    )
    candidates: str | None = Field(
        default=None, description="Parquet file that `lexidex mine` wrote"
    )


class HeldOutSection(Section):
    """What the student is measured on."""

    queries: Count = 200
    documents: Count = 2000
    every: Count | None = Field(
        default=None, description="steps between measures; None: before and after alone"
    )


class TeacherSection(Section):
    """One teacher."""

    kind: Literal["bm25", "dense", "encoder", "cross-encoder", "stored"]
    path: str | None = None
    weight: float = 1.0
    max_length: Count | None = Field(default=None, description="None: what the model says")

    @model_validator(mode="after")
    def _has_path(self) -> TeacherSection:
        if (self.path is None) != (self.kind in ("bm25", "stored")):
            needs = "takes no" if self.path else "needs a"
            raise ValueError(f"path: a teacher of kind {self.kind!r} {needs} path")
        return self


class EnsembleSection(Section):
    """How teachers become one."""

    normalisation: Literal["none", "min-max"] = "none"
    scale: float = 1.0
    rescaled_to: NotNegative | None = Field(
        default=None, description="the teacher, from 0, whose mean and deviation the scores get"
    )

    @model_validator(mode="after")
    def _scaled_once(self) -> EnsembleSection:
        if self.rescaled_to is not None and self.scale != 1:
            raise ValueError(
                f"scale: {self.scale:g}; rescaled_to gives the scores another scale: leave out one"
            )
        return self


class ColumnsSection(Section):
    """Which terms of documents a step computes."""

    frequent: NotNegative = 400
    drawn: Count = 768


class TrainingSection(Section):
    """The loop."""

    steps: Count
    batch: Count = Field(description="queries a step and process")
    accumulate: Count = 1
    negatives: NotNegative = 0
    learning_rate: Annotated[float, Field(gt=0)] = 2e-5
    head_learning_rate: Annotated[float, Field(gt=0)] | None = None
    bias_learning_rate: Annotated[float, Field(gt=0)] | None = None
    table_learning_rate: Annotated[float, Field(gt=0)] | None = None
    warmup: NotNegative = 0
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    max_grad_norm: Annotated[float, Field(ge=0)] = Field(
        default=1.0, description="gradients are scaled down to this norm; 0: never"
    )
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    chunk: Count | None = Field(default=None, description="queries a pass, by gradient caching")
    block: Count = Field(default=1, description="neighbouring queries of one cluster in a batch")
    clusters: Count = Field(
        default=256, description="clusters of queries that blocks are drawn from"
    )
    score_scale: Annotated[float, Field(gt=0)] = 1.0
    learned_scale: bool = False
    log_every: Count = 10
    save_every: Count = 500
    seed: NotNegative = 0
    patience: Count = Field(
        default=20, description="collapsed steps in a row that end the training"
    )


class MiningSection(Section):
    """Hard negatives that are mined before training, and between its rounds."""

    rounds: Count = Field(default=1, description="mine and train so often")
    retrievers: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        default=("bm25",), description="who mines, the student from the second round on"
    )
    later_retrievers: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        default=None, description="who mines from the second round on; None: `retrievers`"
    )
    bands: Annotated[tuple[Band, ...], Field(min_length=1)] = (Band(1, 100, 8),)
    draw: bool = True
    absolute_margin: float | None = Field(
        default=None,
        description="negatives score so much less than the positive by the teacher that "
        "`ensemble.rescaled_to` names, otherwise by the ensemble: levelled, from 0 to its scale",
    )
    relative_margin: float | None = Field(
        default=None, description="the same, as a share of the positive's score"
    )

    @property
    def filters(self) -> bool:
        """Whether a teacher decides which candidates stay."""
        return self.absolute_margin is not None or self.relative_margin is not None

    def of_round(self, number: int) -> tuple[str, ...]:
        """Who mines for a round, from 1: for the first one nobody who has yet to learn."""
        if number > 1:
            return self.later_retrievers or self.retrievers
        return tuple(name for name in self.retrievers if name != STUDENT)

    @model_validator(mode="after")
    def _student_follows(self) -> MiningSection:
        if self.rounds == 1 and self.later_retrievers is not None:
            raise ValueError("later_retrievers: mine from the second round on; there is 1")
        if self.rounds == 1 and STUDENT in self.retrievers:
            raise ValueError(f"retrievers: {STUDENT!r} mines between rounds, of which there is 1")
        return self


class MaskedSection(Section):
    """Middle training on hidden words, of documents alone."""

    rate: Annotated[float, Field(gt=0, le=1)] = 0.15
    activated_weight: Annotated[float, Field(ge=0)] = 1.0


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


def recipe_names() -> list[str]:
    """The recipes that the package brings."""
    return sorted(
        file.name.removesuffix(_SUFFIX)
        for file in (files(__package__) / "recipes").iterdir()
        if file.name.endswith(_SUFFIX)
    )


def read_recipe(name: str | Path) -> TrainingRecipe:
    """The recipe in a file, or the shipped one of that name.

    Raises:
        NotFound: neither.
        InputError: the file is no TOML.
        ParameterError: an unknown key, or a value out of its range; every one is named.
    """
    path = Path(name)
    if path.suffix == _SUFFIX and path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read: {error}") from None
        return parse_recipe(_toml(text, path), str(path))
    names = recipe_names()
    if str(name) not in names:
        near = get_close_matches(str(name), names, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
        raise NotFound(
            f"recipe {str(name)!r}: no such .toml file, and no recipe of that name; {hint}"
        )
    shipped = files(__package__) / "recipes" / f"{name}{_SUFFIX}"
    return parse_recipe(
        _toml(shipped.read_text(encoding="utf-8"), Path(f"{name}{_SUFFIX}")), str(name)
    )


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


def _toml(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not TOML: {error}") from None


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
