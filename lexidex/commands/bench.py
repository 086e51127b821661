"""`lexidex bench`: how fast and how accurate, on this machine, and next to its peers."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from lexidex.errors import LexidexError, ParameterError

from .bench_encode import encode, maps
from .bench_hybrid import dense, dsr, effectiveness, fusion, hybrid
from .bench_run import Run, benchmark, chosen_names, command_line, show, show_tables, teller
from .output import AsJson, Quiet, print_json, write_file
from .settings import Settings, parse_settings
from .train import need_accelerate

_DRAWINGS = "benchmarks"
"""The folder beside the page that holds its drawings, and in `docs` the recorded lines."""


class SearchByDefault(TyperGroup):
    """A group of commands, whose command is `search` where none is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["search", *args]
        return super().parse_args(ctx, args)


bench = typer.Typer(
    cls=SearchByDefault,
    help="Measure speed and accuracy on this machine, next to peers; `search`, where nothing is "
    "named. Collections are synthetic, with the statistics of SPLADE on MS MARCO. Times are CPU "
    "time of one query in one thread, where nothing else is said; every engine runs in a process "
    "of its own; a peer that is not installed is left out.",
)


for command in (encode, maps, hybrid, dense, dsr, fusion, effectiveness):
    bench.command()(command)


@bench.command()
@benchmark("approximate")
def search(
    run: Run,
    tasks: Annotated[str, typer.Option(help="Only these of k10, k100, short, by commas.")] = "",
    levels: Annotated[str, typer.Option(help="Only these accuracies, by commas.")] = "",
    plot: Annotated[
        Path | None, typer.Option(help="Draw accuracy against time, of the first task, as an SVG.")
    ] = None,
) -> None:
    """Time at equal accuracy: our builds, and the best of each family of peers."""
    from lexidex.eval.benchmarks.report import drawing_of
    from lexidex.eval.benchmarks.search import run_search
    from lexidex.eval.benchmarks.sweep import LEVELS, TASKS

    names = chosen_names(tasks)
    chosen = [task for task in TASKS if not names or task.name in names]
    if not chosen or len(chosen) < len(set(names)):
        known = ", ".join(task.name for task in TASKS)
        raise ParameterError(f"--tasks: {tasks!r}; expected some of {known}")
    try:
        wanted = [float(level) for level in chosen_names(levels)] or LEVELS
    except ValueError:
        raise ParameterError(f"--levels: {levels!r}; expected numbers, by commas") from None
    run_search(
        run.workload,
        run.variants,
        run.indexes,
        n_threads=run.n_threads,
        record=run.record,
        say=run.say,
        tasks=chosen,
        levels=wanted,
    )
    if plot:
        write_file(plot, drawing_of(run.record.read(), chosen[0].name))


@bench.command()
@benchmark("approximate")
def build(run: Run) -> None:
    """Seconds, memory and bytes on disk of building every index."""
    from lexidex.eval.benchmarks.build import run_build

    run_build(run.indexes, run.variants, run.say)


@bench.command()
@benchmark("exact")
def exact(run: Run) -> None:
    """Exact search: our exact index next to other ways to score every posting."""
    from lexidex.eval.benchmarks.exact import run_exact

    run_exact(run.workload, run.variants, run.indexes, record=run.record, say=run.say)


@bench.command("open")
@benchmark()
def open_(run: Run) -> None:
    """Opening a file, cold and warm: the first answers, the usual speed, and memory."""
    from lexidex.eval.benchmarks.opening import run_open

    run.say("opening it in fresh processes")
    run_open(run.workload, run.built_file(), run.record)


@bench.command("open-collection")
@benchmark()
def open_collection(run: Run) -> None:
    """Opening a whole collection: what each first use takes, in time and memory."""
    from lexidex.eval.benchmarks.collection_opening import run_collection_opening

    run_collection_opening(run.workload, record=run.record, say=run.say)


@bench.command()
@benchmark()
def ablation(
    run: Run,
    techniques: Annotated[
        str, typer.Option(help="Only those whose names contain one of these, by commas.")
    ] = "",
) -> None:
    """What each technique of our approximate index gives, the rest as it is."""
    from lexidex.eval.benchmarks import ablation

    names = chosen_names(techniques) or [""]
    chosen = [t for t in ablation.techniques() if any(name in t.name for name in names)]
    if not chosen:
        known = ", ".join(technique.name for technique in ablation.techniques())
        raise ParameterError(f"--techniques: {techniques!r}; expected some of {known}")
    ablation.run_ablation(run.workload, run.indexes, chosen, record=run.record, say=run.say)


@bench.command()
@benchmark()
def filters(run: Run) -> None:
    """Accuracy and time where only some documents are allowed."""
    from lexidex.eval.benchmarks.filters import run_filters

    run_filters(run.workload, run.built_file(), run.record)


@bench.command()
@benchmark()
def churn(
    run: Run,
    writes: Annotated[
        int, typer.Option(min=1, help="Documents written singly, and as many by eight threads.")
    ] = 1000,
    share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the documents that are replaced.")
    ] = 0.2,
) -> None:
    """What a collection that was changed costs to search, next to one built at once."""
    from lexidex.eval.benchmarks.churn import run_churn

    run_churn(run.workload, record=run.record, say=run.say, n_writes=writes, share=share)


@bench.command("rank-safe")
@benchmark()
def rank_safe(run: Run) -> None:
    """What it costs to approximate nothing, next to the exact index."""
    from lexidex.eval.benchmarks.rank_safe import run_rank_safe

    run_rank_safe(run.workload, run.built_file(), run.record)


@bench.command()
@benchmark("approximate", real=True)
def real(run: Run) -> None:
    """As `search`, on real vectors from LEXIDEX_DATA, with the exact index beside."""
    from lexidex.eval.benchmarks.search import run_search
    from lexidex.eval.benchmarks.sweep import TASKS

    run_search(
        run.workload,
        run.variants,
        run.indexes,
        n_threads=run.n_threads,
        record=run.record,
        say=run.say,
        tasks=TASKS[:2],
    )


@bench.command()
def passages(
    ctx: typer.Context,
    data: Annotated[
        Path,
        typer.Argument(
            help="Judged long documents: a BEIR folder, or JSON lines of query, title and text."
        ),
    ],
    encoder: Annotated[str, typer.Option(help="As `lexidex index` takes it.")] = "bm25",
    tokens: Annotated[str, typer.Option(help="Sizes of a passage, by commas.")] = "100,200",
    overlaps: Annotated[str, typer.Option(help="Tokens that they repeat, by commas.")] = "0,32",
    by_title: Annotated[
        bool, typer.Option("--by-title", help="Join the texts of one title to one document.")
    ] = False,
    queries: Annotated[
        int | None, typer.Option(min=1, help="Draw as many of the pairs' queries; default: all.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 7,
    to: Annotated[
        Path | None, typer.Option("--out", help="Append all figures to this file, as JSON lines.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Long documents whole, cut off, split, and as one vector of all: results and size."""
    from lexidex.encoders import load_encoder
    from lexidex.eval.benchmarks.passages import run_passages
    from lexidex.eval.benchmarks.record import Record, facts
    from lexidex.eval.benchmarks.workload import Workload
    from lexidex.eval.pairs import read_documents

    documents, judged = read_documents(data, by_title=by_title, n_queries=queries, seed=seed)
    name = data.name if data.is_dir() else data.absolute().parent.name
    workload = Workload(Path(), len(documents), len(judged.qrels), seed, name)
    described = facts(workload, [], 1, command_line(ctx)) | {"judged": True}
    record = Record(described, to)
    run_passages(
        documents,
        judged,
        load_encoder(encoder),
        _numbers("--tokens", tokens, 1),
        _numbers("--overlaps", overlaps, 0),
        record=record,
        say=teller(quiet),
    )
    show(record.read(), as_json)


@bench.command()
def rerank(
    ctx: typer.Context,
    data: Annotated[
        Path,
        typer.Argument(
            help="Judged long documents: a BEIR folder, or JSON lines of query, title and text."
        ),
    ],
    dense: Annotated[str, typer.Option(help="Folder or hub id of the dense model.")],
    tokens: Annotated[int, typer.Option(min=1, help="Most words of a passage.")] = 100,
    by_title: Annotated[
        bool, typer.Option("--by-title", help="Join the texts of one title to one document.")
    ] = False,
    documents: Annotated[
        int | None, typer.Option(min=2, help="Draw as many documents; default: all.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the trainings.")] = 300,
    learning_rate: Annotated[float, typer.Option(help="Of the trainings.")] = 1e-4,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 7,
    to: Annotated[
        Path | None, typer.Option("--out", help="Append all figures to this file, as JSON lines.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Long documents reranked by attention over their passages, trained and not."""
    from lexidex.encoders.loading import load_dense_encoder
    from lexidex.encoders.training.attention import AttentionTraining
    from lexidex.eval.benchmarks.record import Record, facts
    from lexidex.eval.benchmarks.reranking import run_reranking
    from lexidex.eval.benchmarks.workload import Workload
    from lexidex.eval.pairs import drawn_documents, read_documents

    found, judged = read_documents(data, by_title=by_title, seed=seed)
    if documents is not None:
        found, judged = drawn_documents(found, judged, documents, seed)
    name = data.name if data.is_dir() else data.absolute().parent.name
    workload = Workload(Path(), len(found), len(judged.qrels), seed, name)
    described = facts(workload, [], 1, command_line(ctx)) | {"judged": True}
    record = Record(described, to)
    run_reranking(
        found,
        judged,
        load_dense_encoder(dense),
        tokens,
        training=AttentionTraining(steps=steps, learning_rate=learning_rate),
        seed=seed,
        record=record,
        say=teller(quiet),
    )
    show(record.read(), as_json)


def _numbers(option: str, text: str, least: int) -> list[int]:
    """The integers of an option that takes several."""
    names = chosen_names(text)
    if not names or not all(name.isdecimal() and int(name) >= least for name in names):
        raise ParameterError(f"{option}: {text!r}; expected integers from {least}, by commas")
    return [int(name) for name in names]


@bench.command()
@benchmark(real=True)
def pruning(run: Run) -> None:
    """What pruned vectors save and cost, by rule and side, on real vectors from LEXIDEX_DATA."""
    from lexidex.eval.benchmarks.pruning import run_pruning

    run_pruning(run.workload, run.record, run.say)


@bench.command()
@benchmark()
def statistics(run: Run) -> None:
    """Statistics of synthetic vectors, and of real ones where LEXIDEX_DATA names them."""
    from lexidex.eval.benchmarks.statistics import run_statistics

    run_statistics(run.workload, run.record, run.say)


@bench.command("train-matrix")
def train_matrix(
    ctx: typer.Context,
    data: Annotated[
        list[Path], typer.Option(help="Pairs to train on and to hold out; may be repeated.")
    ],
    backbone: Annotated[str, typer.Option(help="Folder or hub id that all methods start from.")],
    recipe: Annotated[
        str, typer.Option(help="What they share: a .toml file, or the name of a shipped recipe.")
    ] = "matrix",
    presets: Annotated[
        str, typer.Option(help="Methods, by commas; see docs/TRAINING.md.")
    ] = "splade-max,unicoil,deep-impact,epic,inference-free-v2",
    settings: Settings = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="Append all figures to this file, as JSON lines.")
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="Folder for the trainings; what was in it before stays."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the trained encoders there.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train methods on the same pairs with the same budget: effectiveness, sparsity, FLOPS."""
    from lexidex.encoders.training.recipe_files import read_recipe
    from lexidex.eval.benchmarks.record import Record, machine
    from lexidex.eval.benchmarks.train_matrix import run_train_matrix, training_table

    if keep and work is None:
        raise ParameterError("--keep: needs a folder that stays (--work)")
    need_accelerate()
    given = {"data.pairs": [str(path) for path in data], "model.backbone": backbone}
    base = read_recipe(recipe).changed(given | parse_settings(settings or []))
    record = Record({"command": command_line(ctx), **machine({})}, to)
    with tempfile.TemporaryDirectory() as scratch:
        run_train_matrix(
            base,
            chosen_names(presets),
            work or Path(scratch),
            record=record,
            say=teller(quiet),
            keep=keep,
        )
    if as_json:
        for line in record.read():
            print_json(line)
    else:
        show_tables([training_table(record.read())])


@bench.command()
def report(
    lines: Annotated[list[Path], typer.Argument(help="Files that --out has written.")],
    to: Annotated[
        Path | None, typer.Option(help="The page; drawings go into `benchmarks` beside it.")
    ] = None,
) -> None:
    """Write the Markdown page and its drawings from recorded lines; print the README's table."""
    from lexidex.eval.benchmarks.record import read_lines
    from lexidex.eval.benchmarks.report import page, snippet

    try:
        recorded = list(read_lines(lines))
    except (OSError, ValueError) as error:
        raise LexidexError(f"the recorded lines cannot be read: {error}") from None
    if to:
        made = page(recorded, _DRAWINGS)
        write_file(to, made.text)
        (to.parent / _DRAWINGS).mkdir(exist_ok=True)
        for name, drawing in made.drawings.items():
            write_file(to.parent / _DRAWINGS / name, drawing)
    typer.echo(snippet(recorded, f"docs/{_DRAWINGS}"))
