"""What training minimises, as functions of scores: contrastive, and by distillation.

Scores are inner products of query and document vectors, in two shapes:

- candidate lists, (queries, candidates): column 0 is the query's positive, the others are its
  negatives;
- the batch, (queries, documents): every query against every document, which makes the documents of
  the others negatives, too; `positives` tells which column is a query's own.

All functions return a scalar and give gradients to the student alone: a teacher's scores are data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

EXCLUDED = -1e4
"""Stands for the score of a document that is no candidate; its exponential is 0 in half precision,
and unlike minus infinity it leaves no NaN where a whole row is excluded."""


def info_nce(
    scores: Tensor,
    positives: Tensor,
    *,
    temperature: float = 1.0,
    excluded: Tensor | None = None,
) -> Tensor:
    """Mean of  -log( exp(s+ / T) / sum over documents exp(s / T) ),  arXiv 1807.03748.

    Inner products of sparse vectors are large already, so that T is 1 unless vectors have unit
    length. With one hard negative a query this is SPLADE's ranking loss (arXiv 2107.05720).

    Args:
        scores: float (queries, documents), in-batch and hard negatives alike.
        positives: int64 (queries,), the column of each query's positive.
        temperature: T, above 0.
        excluded: bool (queries, documents): documents that count neither way, such as those that a
            teacher holds for relevant; True at a positive is ignored.
    """
    import torch
    from torch.nn.functional import cross_entropy

    if excluded is not None:
        own = torch.zeros_like(excluded).scatter_(1, positives[:, None], True)
        scores = scores.masked_fill(excluded & ~own, EXCLUDED)
    return cross_entropy(scores / temperature, positives)


def margin_mse(scores: Tensor, teacher: Tensor) -> Tensor:
    """Mean of  ( (s+ - s-) - (t+ - t-) )^2  over every pair of positive and negative.

    Hofstätter et al., arXiv 2010.02666. The student takes over the teacher's scale, so this wants a
    teacher of the scale that the student is to have (a cross-encoder's logits; see
    `teachers.rescale`).

    Args:
        scores: float (queries, candidates), at least two candidates, the positive first.
        teacher: same shape.
    """
    margins = scores[:, :1] - scores[:, 1:]
    wanted = teacher[:, :1] - teacher[:, 1:]
    return (margins - wanted).square().mean()


def kl_divergence(scores: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Mean over queries of  KL( softmax(t / T) || softmax(s / T) ).

    Args:
        scores: float (queries, candidates) or (queries, documents).
        teacher: same shape.
        temperature: T, above 0; the loss is not multiplied by its square.
    """
    from torch.nn.functional import kl_div, log_softmax

    student = log_softmax(scores / temperature, dim=1)
    target = log_softmax(teacher / temperature, dim=1)
    return kl_div(student, target, reduction="batchmean", log_target=True)


def kl_and_margin_mse(
    scores: Tensor,
    teacher: Tensor,
    *,
    kl_weight: float = 1.0,
    margin_weight: float = 0.05,
    temperature: float = 1.0,
) -> Tensor:
    """`kl_divergence` and `margin_mse` together, as SPLADE-v3 is distilled (arXiv 2403.06789).

    Args:
        scores: float (queries, candidates), the positive first.
        teacher: same shape.
        kl_weight: of the divergence.
        margin_weight: of the margins; the paper tells of no value, 0.05 is the order of magnitude
            at which both parts matter.
        temperature: of the divergence.
    """
    divergence = kl_divergence(scores, teacher, temperature=temperature)
    return kl_weight * divergence + margin_weight * margin_mse(scores, teacher)


def term_recall(weights: Tensor, recalls: Tensor) -> Tensor:
    """Mean of  ( y_t - r_t )^2  over words t, which is how DeepCT is trained (arXiv 1910.10687).

    Of no words it is 0: a passage may be all punctuation.

    Args:
        weights: float (words,), y, what the model gives the words; of any sign.
        recalls: same shape, r, the share of the passage's queries that say the word.
    """
    return (weights - recalls).square().sum() / max(weights.numel(), 1)


def masked_language_model(
    logits: Tensor, labels: Tensor, *, activated_weight: float = 0.0
) -> Tensor:
    """Mean cross-entropy of hidden tokens; plus that of the activated scores, log(1 + ReLU(z)).

    Middle training before retrieval is learned. With FLOPS on the pooled vectors beside it this is
    the MLM+FLOPS initialisation of Efficient SPLADE (arXiv 2207.03834), where the second part makes
    the sparse scores, too, say which token is hidden.

    Where nothing is hidden it is 0: a short text may have no word that was drawn.

    Args:
        logits: float (hidden positions, vocabulary).
        labels: int64 (hidden positions,), the tokens that stood there.
        activated_weight: of the second part; 0 leaves it out.
    """
    from torch.nn.functional import cross_entropy

    loss = cross_entropy(logits, labels, reduction="sum")
    if activated_weight:
        activated = cross_entropy(logits.relu().log1p(), labels, reduction="sum")
        loss = loss + activated_weight * activated
    return loss / max(labels.numel(), 1)
