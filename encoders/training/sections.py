"""The tables of a recipe: what may be set, and what one setting asks of another in its table.

`recipe.TrainingRecipe` puts them together, and checks what concerns several of them.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..presets import find_preset
from ..pruning import as_pruning
from .negatives import Band

Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Count: TypeAlias = Annotated[int, Field(gt=0)]
NotNegative: TypeAlias = Annotated[int, Field(ge=0)]

BACKBONE = "backbone"
"""As a teacher's path: the model that the student starts from."""

STUDENT = "student"
"""As a retriever: the encoder that the round before has trained."""


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
