"""The unified framework's table: named methods, trained alike, side by side.

All of them get the same pairs, in the same order, the same backbone, teachers and number of steps
(Nguyen, MacAvaney and Yates, arXiv 2303.13416); what differs is the method. A penalty applies to
the sides that expand texts, because the others have no terms to lose.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from lexidex.encoders.presets import find_preset
from lexidex.encoders.recipe import VOCABULARY_HEADS
from lexidex.encoders.training.recipe import TrainingRecipe
from lexidex.errors import ParameterError

from .record import Line, Record
from .tables import Table, number

KIND = "training"

PRESETS = ("splade-max", "unicoil", "deep-impact", "epic", "inference-free-v2")


def recipe_of(base: TrainingRecipe, preset: str) -> TrainingRecipe:
    """The recipe with another method, and the penalties that this one can heed.

    Raises:
        ParameterError: there is no such method.
    """
    method = find_preset(preset)
    sides = {"documents": method.documents, "queries": method.queries}
    heeded = [
        regulariser
        for regulariser in base.regulariser
        if sides[regulariser.side].head in VOCABULARY_HEADS
        and sides[regulariser.side].activation != "softplus"
    ]
    model = base.model.model_copy(update={"preset": preset})
    changes = {"name": f"{base.name}-{preset}", "model": model, "regulariser": tuple(heeded)}
    return base.model_copy(update=changes)


def run_train_matrix(
    base: TrainingRecipe,
    presets: Sequence[str],
    work: Path,
    *,
    record: Record,
    say: Callable[[str], None],
    keep: bool = False,
) -> None:
    """Train every preset and record a line each.

    Args:
        base: the recipe they share; its own preset is one of them only if it is named.
        presets: which methods.
        work: folder for the trainings, each in a folder of its own. Only a folder that was not
            there before is deleted; an older training goes on, and stays.
        record: what lines are written to.
        say: told what is being done.
        keep: leave the trained encoders in `work`.

    Raises:
        ParameterError: an unknown method, a recipe that names no data or no backbone, or a folder
            in `work` that holds something other than a training.
    """
    from lexidex.encoders.training.run import Memory, Run

    recipes = {preset: recipe_of(base, preset) for preset in presets}
    older = {preset for preset in recipes if _is_there(work / preset)}
    memory = Memory()
    for preset, recipe in recipes.items():
        say(f"training {preset}")
        started = time.process_time()
        results = Run(recipe, work / preset, say=say, memory=memory).train()
        record.add(
            KIND,
            preset=preset,
            source=find_preset(preset).source,
            steps=recipe.training.steps,
            queries_seen=recipe.training.steps * recipe.training.batch,
            held_out_queries=results.n_queries,
            held_out_documents=results.n_documents,
            before=round(results.before["nDCG@10"], 4),
            after=round(results.after["nDCG@10"], 4),
            nnz_queries=round(results.after["nnz_queries"], 1),
            nnz_documents=round(results.after["nnz_documents"], 1),
            flops=round(results.after["flops"], 3),
            cpu_minutes=round((time.process_time() - started) / 60, 2),
        )
        if not keep and preset not in older:
            shutil.rmtree(work / preset)


def _is_there(folder: Path) -> bool:
    """Whether there is such a folder; if anything is in it, it has to be a training."""
    if not folder.exists():
        return False
    if folder.is_dir() and (not any(folder.iterdir()) or (folder / "recipe.json").is_file()):
        return True
    raise ParameterError(
        f"{folder}: holds something other than a training; give another folder (--work)"
    )


def training_table(lines: Iterable[Line]) -> Table:
    """Effectiveness, sparsity and cost of the methods, from recorded lines."""
    trained = [line for line in lines if line["kind"] == KIND]
    rows = [
        [
            line["preset"],
            number(line["before"], 4),
            number(line["after"], 4),
            number(line["nnz_queries"], 1),
            number(line["nnz_documents"], 1),
            number(line["flops"], 3),
            number(line["cpu_minutes"], 1),
        ]
        for line in trained
    ]
    first = trained[0]
    return Table(
        "Methods trained alike",
        (
            "method",
            "nDCG@10 before",
            "after",
            "terms a query",
            "terms a document",
            "FLOPS",
            "CPU minutes",
        ),
        rows,
        f"{first['steps']:,} steps, {first['queries_seen']:,} queries seen; measured on "
        f"{first['held_out_queries']:,} held-out queries among {first['held_out_documents']:,} "
        "documents. FLOPS: products that a query and a document are expected to take. CPU minutes "
        "include measuring, and for the first method what the others share.",
    )
