"""The model card: what a checkpoint is, how and on what it was trained, and how good it got."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .recipe import TrainingRecipe

LICENCE = "other"
"""What is said where nobody has said anything: weights inherit terms from backbone and data."""


@dataclass(frozen=True)
class Results:
    """What a training has come to.

    Attributes:
        before, after: measures on what was held out, by name; empty where nothing was.
        n_queries, n_documents: held out.
        n_pairs: trained on.
        minutes: of CPU time.
    """

    before: Mapping[str, float]
    after: Mapping[str, float]
    n_queries: int
    n_documents: int
    n_pairs: int
    minutes: float


def model_card(recipe: TrainingRecipe, results: Results, licence: str = LICENCE) -> str:
    """README.md of a checkpoint, with the front matter that model hubs read."""
    training = recipe.training
    lines = [
        "---",
        f"license: {licence}",
        "library_name: lexidex",
        "pipeline_tag: feature-extraction",
        "tags: [sparse-encoder, sparse, splade, information-retrieval, lexidex]",
        "---",
        "",
        f"# {recipe.name}",
        "",
        f"A learned sparse encoder ({recipe.model.preset}), trained by Lexidex.",
        "",
        "```python",
        "from lexidex.encoders import load_encoder",
        "",
        'encoder = load_encoder("path/to/this/folder")',
        'vectors = encoder.encode_documents(["a text"])',
        "```",
        "",
        "## Results",
        "",
        *_results(results),
        "",
        "Measured on pairs that were held out of the training data, among documents of the same "
        "sources: these numbers compare checkpoints with each other, and say nothing about other "
        "collections.",
        "",
        "## Training",
        "",
        f"- recipe: {recipe.name}{f' ({recipe.source})' if recipe.source else ''}",
        f"- started from: {recipe.model.start or recipe.model.backbone or 'not stated'}",
        f"- data: {results.n_pairs:,} pairs of {', '.join(recipe.data.pairs) or 'not stated'}",
        f"- {training.steps:,} steps of {training.batch} queries, "
        f"{training.negatives} mined negatives each; seed {training.seed}",
        f"- {results.minutes:.1f} minutes of CPU time",
        "",
        "The whole recipe:",
        "",
        "```json",
        json.dumps(recipe.model_dump(mode="json", exclude_defaults=True), indent=2),
        "```",
    ]
    return "\n".join(lines) + "\n"


def _results(results: Results) -> Sequence[str]:
    if not results.after:
        return ["Nothing was held out."]
    rows = [
        f"| {name} | {_shown(results.before.get(name))} | {_shown(value)} |"
        for name, value in results.after.items()
    ]
    return [
        f"{results.n_queries:,} queries, {results.n_documents:,} documents.",
        "",
        "| measure | before | after |",
        "| --- | ---: | ---: |",
        *rows,
    ]


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}" if value < 10 else f"{value:,.1f}"
