"""The loss of a step, by recipe: weighted objectives on scores, weighted penalties on vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ConfigDict

from lexidex.errors import ParameterError

from . import objectives, regularisers
from .loss_settings import check_known, check_range, check_used
from .student import SIDES, Vectors

if TYPE_CHECKING:
    from torch import Tensor

OBJECTIVES = ("info-nce", "margin-mse", "kl", "kl-margin-mse")
REGULARISERS = ("flops", "idf-flops", "l1", "masked-flops", "df-flops", "anti-zero")
OVER = ("lists", "batch")
FORMS = ("code", "paper")


@dataclass(frozen=True)
class Objective:
    """One term of the loss that compares scores.

    Attributes:
        name: one of OBJECTIVES.
        weight: what it is multiplied by, at least 0.
        over: "lists", each query with its own candidates; or "batch", with all documents of the
            batch. None is "batch" for InfoNCE, which has no other, and "lists" for the rest.
        temperature: of InfoNCE and KL, of "kl-margin-mse" as well, above 0.
        kl_weight, margin_weight: of the parts of "kl-margin-mse".
        skip_false_negatives: InfoNCE leaves out documents that the teacher scores above the
            positive.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    weight: float = 1.0
    over: str | None = None
    temperature: float = 1.0
    kl_weight: float = 1.0
    margin_weight: float = 0.05
    skip_false_negatives: bool = False

    def __post_init__(self) -> None:
        check_known("objective", self.name, OBJECTIVES)
        if self.over is None:
            object.__setattr__(self, "over", "batch" if self.name == "info-nce" else "lists")
        check_known("over", self.over, OVER)
        if self.name == "info-nce" and self.over != "batch":
            raise ParameterError(f"over: {self.over!r}; info-nce is always over the batch")
        for name in ("weight", "kl_weight", "margin_weight"):
            check_range(name, getattr(self, name), 0)
        check_range("temperature", self.temperature, 0, open_below=True)
        check_used(self)

    @property
    def needs_teacher(self) -> bool:
        """Whether a teacher's scores are compared with."""
        return self.name != "info-nce" or self.skip_false_negatives

    @property
    def of_batch(self) -> bool:
        """Whether every document of the batch is a candidate of every query."""
        return self.over == "batch"

    def value(self, scores: Scores) -> Tensor:
        """The unweighted value of one batch."""
        if self.name == "info-nce":
            return self._info_nce(scores)
        student, teacher = scores.student, scores.teacher
        candidates = scores.in_batch if self.of_batch else scores.in_lists
        student, teacher = candidates(student), candidates(teacher)
        if self.name == "margin-mse":
            return objectives.margin_mse(student, teacher)
        if self.name == "kl":
            return objectives.kl_divergence(student, teacher, temperature=self.temperature)
        return objectives.kl_and_margin_mse(
            student,
            teacher,
            kl_weight=self.kl_weight,
            margin_weight=self.margin_weight,
            temperature=self.temperature,
        )

    def _info_nce(self, scores: Scores) -> Tensor:
        positives = scores.candidates[:, 0]
        excluded = scores.also_positive
        if self.skip_false_negatives:
            better = scores.teacher > scores.teacher.gather(1, positives[:, None])
            excluded = better if excluded is None else excluded | better
        return objectives.info_nce(
            scores.student, positives, temperature=self.temperature, excluded=excluded
        )


@dataclass(frozen=True)
class Scores:
    """What objectives compare.

    Attributes:
        student: float32 (queries, documents).
        candidates: int64 (queries, candidates), columns of each query's own, the positive first.
        teacher: float32 (queries, documents); where only lists are compared, other places are
            undefined.
        also_positive: bool (queries, documents), answers of a query other than the one it stands
            there with; None where there are none.
    """

    student: Tensor
    candidates: Tensor
    teacher: Any = None
    also_positive: Tensor | None = None

    def in_lists(self, matrix: Tensor) -> Tensor:
        """The candidates' scores, (queries, candidates)."""
        return matrix.gather(1, self.candidates)

    def in_batch(self, matrix: Tensor) -> Tensor:
        """All scores, (queries, documents), but each query's positive first."""
        import torch

        places = torch.arange(matrix.shape[1], device=matrix.device).expand(len(matrix), -1)
        # A stable sort by "is not the positive" leaves the others as they stand.
        others = (places != self.candidates[:, :1]).int()
        return matrix.gather(1, others.argsort(dim=1, stable=True))


@dataclass(frozen=True)
class Regulariser:
    """One term of the loss that makes vectors sparse.

    Attributes:
        name: one of REGULARISERS.
        side: "queries" or "documents".
        weight: lambda, once the ramp is over.
        ramp: steps over which the weight rises, as the square of the share of them.
        form: "code" or "paper", of "idf-flops".
        threshold: of "masked-flops", terms of a text below which it is let be.
        alpha, beta: of "df-flops".
        per_position: of "flops", "idf-flops" and "masked-flops" of documents: whether each place in
            the lists of candidates has a mean of its own, and these penalties are added.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    side: str
    weight: float
    ramp: int = 0
    form: str = "code"
    threshold: int = 200
    alpha: float = 0.1
    beta: float = 10.0
    per_position: bool = False

    def __post_init__(self) -> None:
        check_known("regulariser", self.name, REGULARISERS)
        check_known("side", self.side, SIDES)
        check_known("form", self.form, FORMS)
        for name in ("weight", "ramp", "threshold"):
            check_range(name, getattr(self, name), 0)
        check_range("alpha", self.alpha, 0, 1, open_below=True)
        check_range("beta", self.beta, 0, open_below=True)
        check_used(self)
        if self.per_position and self.side != "documents":
            raise ParameterError("per_position: queries have no positions, documents have")

    def weight_at(self, step: int) -> float:
        """The weight at a step, from 0."""
        return self.weight * regularisers.quadratic_ramp(step, self.ramp)

    def value(self, texts: Texts) -> Tensor:
        """The unweighted value of one batch."""
        vectors, columns = texts.vectors, texts.stands_for
        positions = texts.positions if self.per_position else 1
        if self.name == "flops":
            return regularisers.flops(vectors, columns, positions)
        if self.name == "l1":
            return regularisers.l1(vectors, columns)
        if self.name == "anti-zero":
            return regularisers.anti_zero(vectors, columns)
        if self.name == "masked-flops":
            return regularisers.masked_flops(vectors, texts.nnz, self.threshold, columns, positions)
        if self.name == "idf-flops":
            return regularisers.idf_aware_flops(vectors, texts.idf, self.form, columns, positions)
        return regularisers.df_flops(
            vectors,
            texts.document_frequency,
            alpha=self.alpha,
            beta=self.beta,
            columns=columns,
        )


@dataclass(frozen=True)
class Texts:
    """The vectors of one side, and what penalties know about their terms.

    Attributes:
        vectors: float32 (texts, columns).
        stands_for: float32 (columns,), how many terms each column stands for; None for one.
        idf: float32 (columns,), of "idf-flops".
        document_frequency: float32 (columns,), the share of documents, of "df-flops".
        positions: texts that stand next to each other as candidates of one query.
    """

    vectors: Tensor
    stands_for: Tensor | None = None
    idf: Any = None
    document_frequency: Any = None
    positions: int = 1

    @property
    def nnz(self) -> Tensor:
        """Terms of each text, float32 (texts,); estimated where columns are a sample."""
        active = (self.vectors.detach() > 0).float()
        return active.sum(1) if self.stands_for is None else active @ self.stands_for


@dataclass
class Loss:
    """Objectives and regularisers of a recipe.

    Attributes:
        objectives: at least one.
        regularisers: any number.
        idf: float32 (dim,), of "idf-flops".
        parts: what the last batch gave, unweighted, by name, with terms a text and FLOPS; for the
            log.
    """

    objectives: Sequence[Objective]
    regularisers: Sequence[Regulariser] = ()
    idf: Any = None
    parts: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.objectives:
            raise ParameterError("objective: none given; training needs one")

    @property
    def needs_teacher(self) -> bool:
        """Whether teachers have to be asked."""
        return any(objective.needs_teacher for objective in self.objectives)

    @property
    def needs_matrix(self) -> bool:
        """Whether teachers have to score every query against every document of the batch."""
        return any(each.needs_teacher and each.of_batch for each in self.objectives)

    @property
    def needs_document_frequency(self) -> bool:
        """Whether a penalty depends on how many documents have a term."""
        return any(each.name == "df-flops" for each in self.regularisers)

    @property
    def _names(self) -> list[str]:
        """The keys of the values in the log."""
        penalties = [f"{each.name}_{each.side}" for each in self.regularisers]
        return numbered([*(each.name for each in self.objectives), *penalties])

    def total(
        self,
        vectors: Vectors,
        scores: Scores,
        step: int,
        document_frequency: Tensor | None = None,
    ) -> Tensor:
        """The loss of a batch; leaves its parts in `parts`.

        Args:
            vectors: of the batch.
            scores: of the same batch.
            step: from 0, for the ramps.
            document_frequency: float32 (dim,), where `needs_document_frequency`.
        """
        import torch

        idf = None if self.idf is None else self.idf.to(scores.student.device)
        sides = {
            "queries": Texts(vectors.queries, None, idf, document_frequency),
            "documents": Texts(
                vectors.documents,
                vectors.stands_for,
                _of(idf, vectors.columns),
                _of(document_frequency, vectors.columns),
                positions=scores.candidates.shape[1],
            ),
        }
        total = scores.student.new_zeros(())
        values: list[Tensor] = []
        for objective in self.objectives:
            values.append(objective.value(scores))
            total = total + objective.weight * values[-1]
        for regulariser in self.regularisers:
            values.append(regulariser.value(sides[regulariser.side]))
            total = total + regulariser.weight_at(step) * values[-1]
        parts = dict(zip(self._names, values, strict=True))
        with torch.no_grad():
            self.parts = {name: float(value) for name, value in parts.items()}
            self.parts |= {f"nnz_{side}": float(each.nnz.mean()) for side, each in sides.items()}
            self.parts["flops"] = float(vectors.flops)
        return total


def _of(values: Any, columns: Tensor | None) -> Any:
    return values if values is None or columns is None else values[columns]


def numbered(names: Iterable[str]) -> list[str]:
    """The names as keys of a log: the second of one name ends in -2, the third in -3."""
    seen: Counter[str] = Counter()
    keys = []
    for name in names:
        seen[name] += 1
        keys.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return keys
