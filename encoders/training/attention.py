"""How attention over a document's vectors is trained: InfoNCE over the candidates of a search.

What learns are the two maps and the temperature of `Attention`; vectors stay as they are stored, so
that a training takes seconds to minutes on a CPU and changes nothing in a collection. For a list of
candidates, its relevant document first, the loss is

    -log( exp(score_1 / t) / sum over candidates exp(score_j / t) )

with the candidates that a search has found as hard negatives (`objectives.info_nce`). Maps begin as
the identity (or, narrower, as random orthogonal columns), so that training begins at attention
without maps. Lists of some relevant documents are kept back, and these documents are in no other
list: the state that orders what is kept back best is the result, be it the first one, and so is the
weight that its scores have beside the search's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lexidex.errors import ParameterError
from lexidex.index.fusion import FusionParams, Leg, fuse
from lexidex.index.ranges import ranges
from lexidex.index.vectors import Float32s, Int64s

from ..attention import TEMPERATURE, Attention
from .objectives import info_nce

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = 20
"""Weights of attention that are tried beside the search's scores: 0, 1/20, ..., 1."""

_HELD_OUT = 0.2
"""Share of the relevant documents whose lists are kept back; at least one."""


@dataclass(frozen=True, eq=False)
class AttentionLists:
    """What a search has found for some queries, and the vectors of these documents.

    Attributes:
        queries: float32 (lists, d), the dense vector of each list's query.
        vectors: float32 (vectors, d), document by document.
        starts: int64 (documents + 1,), the first vector of each document, and the end; no document
            is without a vector.
        candidates: int64 (lists, width), documents by number: a relevant one, then others that are
            not, best first; -1 for no document.
        scores: float32 (lists, width), those of the search; NaN for what it has not found.
    """

    queries: Float32s
    vectors: Float32s
    starts: Int64s
    candidates: Int64s
    scores: Float32s

    def __len__(self) -> int:
        """Number of lists."""
        return len(self.candidates)

    def take(self, rows: Int64s) -> AttentionLists:
        """Some of the lists."""
        chosen = self.queries[rows], self.candidates[rows], self.scores[rows]
        return AttentionLists(chosen[0], self.vectors, self.starts, *chosen[1:])


@dataclass(frozen=True)
class AttentionTraining:
    """How attention is trained.

    Attributes:
        width: columns of the maps; None for as many as vectors have dimensions, 0 for no maps,
            which leaves the temperature to learn.
        steps: of the optimiser (Adam), at least 1.
        batch: lists a step, at least 1.
        learning_rate: at the start, falling to 0 along a cosine; above 0.
        loss_temperature: what scores are divided by in the loss; above 0.
        temperature: that training begins with; above 0.
        every: steps between looks at the lists that are kept back.
        seed: of the draws.

    Raises:
        ParameterError: one is out of its range.
    """

    width: int | None = None
    steps: int = 300
    batch: int = 16
    learning_rate: float = 1e-4
    loss_temperature: float = 0.05
    temperature: float = TEMPERATURE
    every: int = 25
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "every"):
            if getattr(self, name) < 1:
                raise ParameterError(f"{name}: {getattr(self, name)!r}; expected 1 or more")
        for name in ("learning_rate", "loss_temperature", "temperature"):
            if not getattr(self, name) > 0:
                raise ParameterError(f"{name}: {getattr(self, name)!r}; expected more than 0")
        if self.width is not None and self.width < 0:
            raise ParameterError(f"width: {self.width!r}; expected 0 or more")


@dataclass(frozen=True)
class AttentionResult:
    """What came of a training.

    Attributes:
        attention: the best state on the lists that were kept back, with the best weight.
        before, after: mean reciprocal rank on these of the first state and of the best one, each
            by its scores alone.
        first: the same of the search's own order.
        fused: of the best state fused with the search by that weight.
        losses: of each step.
    """

    attention: Attention
    before: float
    after: float
    first: float
    fused: float
    losses: list[float]


def train_attention(
    lists: AttentionLists,
    training: AttentionTraining | None = None,
    *,
    encoder: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> AttentionResult:
    """Train maps and temperature on candidate lists.

    Args:
        encoder: fingerprint of the encoder that made the vectors; None where none did.
        progress: called with the number of steps done.

    Raises:
        ParameterError: fewer than two relevant documents.
    """
    import torch

    training = training or AttentionTraining()
    random = np.random.default_rng(training.seed)
    held_out, rest = _divided(lists, random)
    learned = _start(lists.queries.shape[1], training, random)
    optimiser = torch.optim.Adam(learned.values(), lr=training.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, training.steps)
    best = _state(learned, encoder)
    before = after = _reciprocal_rank(best, held_out)
    losses = []
    batches = _batches(len(rest), training.batch, random)
    for step in range(1, training.steps + 1):
        loss = attention_loss(rest.take(next(batches)), learned, training.loss_temperature)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if step % training.every == 0 or step == training.steps:
            state = _state(learned, encoder)
            reached = _reciprocal_rank(state, held_out)
            if reached > after:
                best, after = state, reached
        if progress:
            progress(step)
    weight, fused = _best_weight(best, held_out)
    first = _mean_reciprocal(np.nan_to_num(held_out.scores, nan=-np.inf), held_out.candidates)
    fusion = FusionParams("min-max", _beside(weight))
    return AttentionResult(replace(best, fusion=fusion), before, after, first, fused, losses)


def _divided(
    lists: AttentionLists, random: np.random.Generator
) -> tuple[AttentionLists, AttentionLists]:
    """Lists that are kept back, by their relevant documents, and the others without these."""
    relevant = random.permutation(np.unique(lists.candidates[:, 0]))
    if relevant.size < 2:
        raise ParameterError(
            f"lists of {relevant.size} relevant documents; attention is trained on two or more"
        )
    chosen = relevant[: max(1, int(_HELD_OUT * relevant.size))]
    is_chosen = np.isin(lists.candidates, chosen)
    rest = lists.take(np.flatnonzero(~is_chosen[:, 0]))
    others = np.where(np.isin(rest.candidates, chosen), -1, rest.candidates)
    return lists.take(np.flatnonzero(is_chosen[:, 0])), replace(rest, candidates=others)


def attention_loss(
    lists: AttentionLists, learned: dict[str, Tensor], loss_temperature: float
) -> Tensor:
    """The loss of some lists: `info_nce` of their attention scores.

    Args:
        learned: "log_temperature", a scalar, and perhaps "query_map" and "key_map", (d, width).
        loss_temperature: what scores are divided by.
    """
    import torch

    scores = attention_scores(lists, learned)
    nobody = torch.from_numpy(lists.candidates < 0)
    positives = torch.zeros(len(lists), dtype=torch.int64)
    return info_nce(scores, positives, temperature=loss_temperature, excluded=nobody)


def attention_scores(lists: AttentionLists, learned: dict[str, Tensor]) -> Tensor:
    """The scores of candidates, float (lists, width), as `Attention.scores` has them; see there.

    For no document, 0.
    """
    import torch

    rows, places = _rows_of(lists)
    groups = torch.from_numpy(places)
    queries = torch.from_numpy(lists.queries)
    if "query_map" in learned:
        # (q W_q) . (k W_k) = (W_k W_q' q) . k: no vector of a document has to be mapped.
        queries = queries @ learned["query_map"] @ learned["key_map"].T
    asking = queries[groups // lists.candidates.shape[1]]
    products = (torch.from_numpy(lists.vectors[rows]) * asking).sum(-1)
    hidden = products / learned["log_temperature"].exp()
    nothing = hidden.new_zeros(lists.candidates.size)
    highest = nothing.scatter_reduce(0, groups, hidden.detach(), "amax", include_self=False)
    shares = (hidden - highest[groups]).exp()
    sums = nothing.index_add(0, groups, shares)
    total = nothing.index_add(0, groups, shares * products)
    return (total / sums.clamp(min=1e-9)).reshape(lists.candidates.shape)


def _rows_of(lists: AttentionLists) -> tuple[Int64s, Int64s]:
    """The rows of all candidates' vectors, and the place of each one's candidate, flattened."""
    places = np.flatnonzero(lists.candidates >= 0)
    chosen = lists.candidates.ravel()[places]
    counts = np.diff(lists.starts)[chosen]
    return ranges(lists.starts[chosen], counts), np.repeat(places, counts)


def _start(dim: int, training: AttentionTraining, random: np.random.Generator) -> dict[str, Tensor]:
    """What learns, as training begins."""
    import torch

    learned = {"log_temperature": torch.tensor(float(np.log(training.temperature)))}
    width = dim if training.width is None else training.width
    if width:
        begun = np.eye(dim, width, dtype=np.float32)
        if width < dim:
            columns = np.linalg.qr(random.standard_normal((dim, width)))[0]
            # Products keep their size, on average.
            begun = (columns * np.sqrt(dim / width)).astype(np.float32)
        learned |= {name: torch.from_numpy(begun.copy()) for name in ("query_map", "key_map")}
    return {name: one.requires_grad_() for name, one in learned.items()}


def _state(learned: dict[str, Tensor], encoder: str | None) -> Attention:
    """What was learned so far, copied."""
    maps: dict[str, Any] = {
        name: one.detach().numpy().copy() for name, one in learned.items() if name.endswith("map")
    }
    return Attention(float(learned["log_temperature"].detach().exp()), **maps, encoder=encoder)


def _batches(n: int, size: int, random: np.random.Generator) -> Iterator[Int64s]:
    """Rows without end, each once before any comes again."""
    while True:
        order = random.permutation(n)
        for first in range(0, n, size):
            yield order[first : first + size]


def scores_of(attention: Attention, lists: AttentionLists) -> Float32s:
    """Attention's scores of candidates, float32 (lists, width); -inf for no document."""
    scores = np.full(lists.candidates.shape, -np.inf, dtype=np.float32)
    for row in range(len(lists)):
        one = lists.take(np.array([row]))
        rows, places = _rows_of(one)
        starts = np.searchsorted(places, np.arange(one.candidates.size + 1))
        found = attention.scores(one.queries[0], lists.vectors[rows], starts).scores
        scores[row] = np.where(np.isnan(found), -np.inf, found)
    return scores


def _reciprocal_rank(attention: Attention, lists: AttentionLists) -> float:
    return _mean_reciprocal(scores_of(attention, lists), lists.candidates)


def _mean_reciprocal(scores: Float32s, candidates: Int64s) -> float:
    """Mean of 1 / rank of the first column; of equal scores it has the last rank."""
    others = (scores >= scores[:, :1]) & (candidates >= 0)
    return float((1.0 / others.sum(axis=1)).mean())


def _best_weight(attention: Attention, lists: AttentionLists) -> tuple[float, float]:
    """The weight that attention should have beside the search, and what it then reaches."""
    scores = scores_of(attention, lists)
    reached = []
    for step in range(WEIGHTS + 1):
        weight = step / WEIGHTS
        params = FusionParams("min-max", _beside(weight))
        fused = np.full(scores.shape, -np.inf, dtype=np.float32)
        for row, candidates in enumerate(lists.candidates):
            some = candidates >= 0
            legs = [Leg("first", lists.scores[row, some]), Leg("rerank", scores[row, some])]
            fused[row, some] = fuse(legs, params).scores
        reached.append(_mean_reciprocal(fused, lists.candidates))
    # Of equally good ones that in their middle, which is least likely to be so by chance.
    ties = np.flatnonzero(np.array(reached) >= max(reached) - 1e-9)
    chosen = int(ties[ties.size // 2])
    return chosen / WEIGHTS, reached[chosen]


def _beside(weight: float) -> dict[str, float]:
    """The weights of both legs."""
    return {"first": round(1 - weight, 6), "rerank": weight}
