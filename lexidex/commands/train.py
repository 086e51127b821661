"""`lexidex train`: from a recipe to a trained encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from .output import AsJson, Quiet, err, out, print_json, progress
from .settings import Settings, parse_settings


def train(
    config: Annotated[
        str | None,
        typer.Argument(metavar="CONFIG", help="A recipe: a .toml file, or a name of --list."),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Folder of the training; one that was begun goes on."),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Pairs: .jsonl[.gz], or a folder with pairs.jsonl or a BEIR collection."),
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="Folder or hub id of the model that it starts from.")
    ] = None,
    candidates: Annotated[
        Path | None, typer.Option(help="Candidate lists that `lexidex mine` wrote.")
    ] = None,
    settings: Settings = None,
    listed: Annotated[
        bool, typer.Option("--list", help="List the recipes that are shipped.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train an encoder by a recipe, and measure it on pairs held out; see docs/TRAINING.md.

    What was killed goes on from its last checkpoint when the command is given again. On several
    GPUs: `torchrun --nproc-per-node N -m lexidex train ...`.
    """
    from lexidex.encoders.training.recipe_files import read_recipe
    from lexidex.errors import ParameterError

    if listed:
        _list(as_json)
        return
    if config is None or to is None:
        raise ParameterError("give a recipe and a folder: lexidex train CONFIG --to DIR")
    given: dict[str, Any] = {}
    if data:
        given["data.pairs"] = [str(path) for path in data]
    if backbone:
        given["model.backbone"] = backbone
    if candidates:
        given["data.candidates"] = str(candidates)
    recipe = read_recipe(config).changed(given | parse_settings(settings or []))
    need_accelerate()
    from lexidex.encoders.training.gathering import is_main
    from lexidex.encoders.training.run import Run

    quiet = quiet or not is_main()  # of several processes one tells

    def say(line: str) -> None:
        if not quiet:
            err.print(line, highlight=False, markup=False)

    with progress("Training", total=recipe.training.steps, quiet=quiet) as count:
        results = Run(recipe, to, say, lambda step, _: count(step)).train()
    if not is_main():
        return
    if as_json:
        print_json(
            {
                "model": str(to / "model"),
                "before": dict(results.before),
                "after": dict(results.after),
                "held_out": {"queries": results.n_queries, "documents": results.n_documents},
                "cpu_minutes": round(results.minutes, 2),
            }
        )
        return
    table = Table("measure", "before", "after", box=None, pad_edge=False)
    for name, value in results.after.items():
        table.add_row(name, f"{results.before[name]:.4f}", f"{value:.4f}")
    out.print(table)
    out.print(f"{to / 'model'}: encoder, model card, learning curve", highlight=False)


def _list(as_json: bool) -> None:
    from lexidex.encoders.training.recipe_files import read_recipe, recipe_names

    recipes = [read_recipe(name) for name in recipe_names()]
    if as_json:
        print_json([recipe.model_dump(mode="json", exclude_none=True) for recipe in recipes])
        return
    table = Table("recipe", "method", "objective", "steps", "source", box=None, pad_edge=False)
    for recipe in recipes:
        objectives = " + ".join(each.name for each in recipe.objective) or recipe.task
        steps = f"{recipe.training.steps:,}"
        table.add_row(recipe.name, recipe.model.preset, objectives, steps, recipe.source)
    out.print(table)


def need_accelerate() -> None:
    """MissingDependency where the library that the loop stands on is not installed."""
    from importlib.util import find_spec

    from lexidex.errors import MissingDependency

    if find_spec("accelerate") is None:
        raise MissingDependency("training needs accelerate: pip install 'lexidex[train]'")
