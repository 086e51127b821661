"""What makes vectors sparse: penalties on a batch of vectors of one side, and their schedule.

A batch is a float tensor (texts, terms), nothing negative. Where only some terms of the vocabulary
were computed, `columns` says how many terms each stands for: a term drawn with probability p stands
for 1 / p, and every penalty stays right on average (`columns.SampledColumns`).

A penalty belongs to the loss it stands beside: some 0.1 next to margins, 1e-4 to 5e-2 next to
InfoNCE and KL. FLOPS grows with the share of texts that have a term, so it also depends on which
texts form a batch; over several devices the loop gathers the vectors first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lexidex.errors import ParameterError

if TYPE_CHECKING:
    from torch import Tensor


def flops(vectors: Tensor, columns: Tensor | None = None, positions: int = 1) -> Tensor:
    """Sum over terms of  ( mean over texts of w )^2,  arXiv 2004.05665 and 2107.05720.

    Args:
        vectors: float (texts, terms).
        columns: float (terms,), how many terms each column stands for; None for one.
        positions: candidates of each query, whose documents stand next to each other; there is a
            mean for the first ones, for the second ones and so on, and their FLOPS are added. So
            does the code of arXiv 2411.04403 and 2504.14839 (`flops_value` in scripts/train of
            zhichao-aws/opensearch-sparse-model-tuning-sample). 1 takes one mean over all, which of
            candidates with about the same terms is a penalty `positions` times as small. SPLADE's
            code (naver/splade, splade/tasks/transformer_trainer.py) halves the sum of positives and
            negatives, which is about that of one mean, and no less.
    """
    means = vectors.reshape(-1, positions, vectors.shape[1]).mean(0)
    return _weighed(means.square().sum(0), columns)


def idf_aware_flops(
    vectors: Tensor,
    idf: Tensor,
    form: str = "code",
    columns: Tensor | None = None,
    positions: int = 1,
) -> Tensor:
    """FLOPS for documents that meet IDF-weighted queries, arXiv 2411.04403, in its two readings.

    Both let a rare term weigh more before it costs as much. With u = idf * d they are the same
    penalty; which one applies depends on what the model puts out.

    Args:
        vectors: float (texts, terms).
        idf: float (terms,), above 0.
        form: "code", as released: queries carry the IDF, `vectors` are d, and FLOPS is plain.
            "paper", as in its first version: queries are binary, `vectors` are u, and FLOPS is
            that of u / idf.
        columns, positions: see `flops`.

    Raises:
        ParameterError: another form.
    """
    if form == "code":
        return flops(vectors, columns, positions)
    if form == "paper":
        return flops(vectors / idf, columns, positions)
    raise ParameterError(f"form: {form!r}; expected 'code' or 'paper'")


def l1(vectors: Tensor, columns: Tensor | None = None) -> Tensor:
    """Mean over texts of the sum of weights; on queries in Efficient SPLADE (arXiv 2207.03834)."""
    return _weighed(vectors.mean(0), columns)


def masked_flops(
    vectors: Tensor,
    nnz: Tensor,
    threshold: int,
    columns: Tensor | None = None,
    positions: int = 1,
) -> Tensor:
    """FLOPS that lets texts with few terms be: the L0 mask of arXiv 2504.14839.

    Args:
        vectors: float (texts, terms).
        nnz: (texts,), how many terms of the whole vocabulary each text has.
        threshold: texts with at most so many add nothing, though the mean counts them.
        columns, positions: see `flops`.
    """
    kept = (nnz > threshold).to(vectors.dtype)
    return flops(vectors * kept[:, None], columns, positions)


def df_flops(
    vectors: Tensor,
    document_frequency: Tensor,
    *,
    alpha: float = 0.1,
    beta: float = 10.0,
    columns: Tensor | None = None,
) -> Tensor:
    """FLOPS that falls on terms in many documents: DF-FLOPS, arXiv 2505.15070.

    Sum over terms of  ( f(x) * mean over texts of w )^2,
    f(x) = 1 / (1 + (x^(log_alpha 2) - 1)^beta):  0 where no document has the term, 1/2 where a
    share alpha has it, 1 where all do.

    Here f stands inside the square. Sources differ: some have it so, others f(x) times the square
    of the mean, where a term at alpha costs 1/2 of its FLOPS instead of 1/4. Both agree where f is
    0 or 1, which a large beta leaves little between.

    Args:
        vectors: float (texts, terms).
        document_frequency: (terms,), the share of documents that have each term, from 0 to 1.
        alpha: in (0, 1).
        beta: how steep, above 0.
        columns: see `flops`.
    """
    return _weighed(
        (df_weight(document_frequency, alpha, beta) * vectors.mean(0)).square(), columns
    )


def df_weight(document_frequency: Tensor, alpha: float, beta: float) -> Tensor:
    """f of `df_flops`: a generalised logistic of the document frequency, same shape."""
    import math

    # Below this, f is 0 in any precision, and the power would overflow.
    share = document_frequency.clamp(min=1e-4, max=1.0)
    excess = share.pow(math.log(2) / math.log(alpha)) - 1
    return 1 / (1 + excess.pow(beta))


def anti_zero(vectors: Tensor, columns: Tensor | None = None) -> Tensor:
    """1 / (sum of all weights)^2: a wall before vectors without any term.

    As in SPLADE's code on transformers' Trainer (naver/splade, splade/hf/trainers.py), which adds
    it for both sides with the weight 1. The sum is that of the whole batch.
    """
    import torch

    total = _weighed(vectors.sum(0), columns)
    return 1 / total.square().clamp(min=torch.finfo(vectors.dtype).eps)


def quadratic_ramp(step: int, steps: int) -> float:
    """The share of a penalty's weight at a step: (step / steps)^2, and 1 from `steps` on.

    A full penalty at the start empties the vectors before they have learned anything.

    Args:
        step: from 0.
        steps: length of the ramp; 0 for none.
    """
    return 1.0 if step >= steps else (step / steps) ** 2


def _weighed(terms: Tensor, columns: Tensor | None) -> Tensor:
    return terms.sum() if columns is None else (terms * columns).sum()
