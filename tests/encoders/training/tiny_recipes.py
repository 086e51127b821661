"""Shipped recipes made so small that they run in a second."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lexidex.encoders.training.recipe import TrainingRecipe
from lexidex.encoders.training.recipe_files import read_recipe

from .tiny import tiny_pairs, write_backbone, write_pairs


def make_world(folder: Path) -> dict[str, Path]:
    """A tiny backbone, a tiny cross-encoder, and a file of pairs, whose queries quote documents."""
    pairs = tiny_pairs(60)
    quoted = [" ".join(text.split()[:3]) for text in pairs.documents]
    pairs = dataclasses.replace(pairs, queries=quoted)
    return {
        "backbone": write_backbone(folder / "backbone"),
        "cross-encoder": write_backbone(folder / "cross", "BertForSequenceClassification"),
        "pairs": write_pairs(folder / "pairs.jsonl", pairs),
    }


def tiny_recipe(name: str, world: dict[str, Path]) -> TrainingRecipe:
    """The shipped recipe, with tiny models and data, and a few steps."""
    recipe = read_recipe(name)
    changes = {
        "model.backbone": str(world["backbone"]),
        "model.max_length": 16,
        "model.query_max_length": 8,
        "data.pairs": [str(world["pairs"])],
        "held_out.queries": 8,
        "held_out.documents": 20,
        "training.steps": 2,
        "training.batch": 4,
        "training.warmup": 0,
        "training.log_every": 1,
        "training.clusters": 4,
        "training.block": min(recipe.training.block, 2),
    }
    if recipe.model.layers:
        changes |= {"model.layers": 1 + recipe.model.identity_layers, "model.frozen_layers": 1}
        changes |= {"model.residual": min(recipe.model.residual, 16), "model.active": 0.2}
    if recipe.model.encoding_length:
        changes["model.encoding_length"] = 24
    if recipe.columns:
        changes |= {"columns.frequent": 20, "columns.drawn": 30}
    if recipe.mining:
        miners = [name.partition(":")[0] for name in recipe.mining.retrievers]
        dense = f"dense:{world['backbone']}"
        changes["mining.retrievers"] = [dense if name == "dense" else name for name in miners]
    if recipe.teacher:
        changes["teacher"] = [tiny_teacher(each, world) for each in recipe.teacher]
    return recipe.changed(changes)


def tiny_teacher(section, world):
    """The teacher with a tiny model; an encoder's place takes BM25."""
    kind = "bm25" if section.kind in ("bm25", "encoder") else section.kind
    path = {"dense": "backbone", "cross-encoder": "cross-encoder"}.get(kind)
    found = {"kind": kind, "weight": section.weight, "max_length": 16}
    return found if path is None else found | {"path": str(world[path])}
