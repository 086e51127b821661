"""What the commands of `lexidex bench` share: options, the workload, the record, and the output."""

from __future__ import annotations

import inspect
import shlex
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer
from rich.console import Console
from rich.table import Table as RichTable

from .output import AsJson, Quiet, err, out

if TYPE_CHECKING:
    from lexidex.eval.benchmarks.build import Indexes
    from lexidex.eval.benchmarks.engines import Variant
    from lexidex.eval.benchmarks.record import Line, Record
    from lexidex.eval.benchmarks.tables import Table
    from lexidex.eval.benchmarks.workload import Workload

Peers: TypeAlias = Literal["approximate", "exact", "none"]
"""Which peers a benchmark compares with."""

_WIDTH = 160
"""Characters that a table may take where the terminal has fewer: wrapped cells cannot be read."""

_NOT_SHOWN = {"to", "work", "keep", "plot", "as_json", "quiet"}
_OF_SYNTHETIC = {"documents", "queries", "seed"}
_OF_PEERS = {"peers", "variants"}


@dataclass(frozen=True)
class Run:
    """A benchmark's run.

    Attributes:
        variants: what is compared: ours and the installed peers, as chosen by the options.
        n_threads: threads that build and search batches.
    """

    workload: Workload
    variants: list[Variant]
    indexes: Indexes
    record: Record
    n_threads: int
    say: Callable[[str], None]

    def built_file(self) -> Path:
        """The file of our approximate index with its default parameters."""
        self.indexes.build(self.variants[0])
        return self.indexes.folder(self.variants[0]) / "index" / "index"


def _common(
    ctx: typer.Context,
    documents: Annotated[
        int, typer.Option(min=100, help="Size of the synthetic collection.")
    ] = 100_000,
    queries: Annotated[
        int, typer.Option(min=1, help="Queries to tune on, and as many to test with.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the collection and of our index.")] = 7,
    peers: Annotated[
        bool, typer.Option("--peers/--no-peers", help="Compare with the peers installed here.")
    ] = True,
    variants: Annotated[
        str, typer.Option(help="Only indexes whose names contain one of these, by commas.")
    ] = "",
    n_threads: Annotated[
        int, typer.Option("--threads", min=1, help="Threads that build and search batches.")
    ] = 1,
    to: Annotated[
        Path | None, typer.Option("--out", help="Append all figures to this file, as JSON lines.")
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps collection and exact results for the next run."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep built indexes there, too.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """The options that benchmarks have in common."""


def benchmark(
    peers: Peers = "none", *, real: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command of a function that takes a Run and options of its own.

    The command has the common options too, less those that make no sense for it; afterwards it
    prints what was recorded.

    Args:
        real: whether the collection is the real one, of a size of its own.
    """
    left_out = (_OF_SYNTHETIC if real else set()) | (_OF_PEERS if peers == "none" else set())

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        shared = inspect.signature(_common, eval_str=True).parameters
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

        def command(ctx: typer.Context, **options: Any) -> None:
            chosen: Any = {option.name: options.pop(option.name) for option in own}
            as_json, options["real"] = options.pop("as_json"), real
            with _prepared(peers, command_line(ctx), **options) as run:
                function(run, **chosen)
            show(run.record.read(), as_json)

        parameters = [value for name, value in shared.items() if name not in left_out]
        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__dict__["__signature__"] = inspect.Signature(
            [*parameters[:1], *own, *parameters[1:]]
        )
        command.__annotations__ = {each.name: each.annotation for each in [*parameters, *own]}
        return command

    return decorate


def chosen_names(text: str) -> list[str]:
    """The parts of an option that takes several, by commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def teller(quiet: bool) -> Callable[[str], None]:
    """What tells a person on stderr how far a benchmark is."""

    def say(line: str) -> None:
        if not quiet:
            err.print(line, highlight=False, markup=False)

    return say


def show(lines: list[Line], as_json: bool) -> None:
    """Lines as JSON for programs, or their tables for people."""
    from lexidex.eval.benchmarks.report import tables_of

    from .output import print_json

    if as_json:
        for line in lines:
            print_json(line)
    else:
        show_tables(tables_of(lines))


def show_tables(tables: Sequence[Table]) -> None:
    """Tables for people, on stdout."""
    wide = Console(width=max(out.width, _WIDTH), emoji=False)
    for table in tables:
        shown = RichTable(*table.columns, title=table.title, box=None, pad_edge=False)
        for row in table.rows:
            shown.add_row(*row)
        wide.print(shown)
        if table.note:
            wide.print(table.note, highlight=False, markup=False)


@contextmanager
def _prepared(
    peers_of: Peers,
    command: str,
    *,
    real: bool,
    n_threads: int,
    to: Path | None,
    work: Path | None,
    keep: bool,
    quiet: bool,
    documents: int = 0,
    queries: int = 0,
    seed: int = 0,
    peers: bool = False,
    variants: str = "",
) -> Iterator[Run]:
    from lexidex.eval.benchmarks.build import Indexes
    from lexidex.eval.benchmarks.real import prepare_real
    from lexidex.eval.benchmarks.record import Record, facts
    from lexidex.eval.benchmarks.workload import prepare_workload

    say = teller(quiet)
    if to:
        to.open("a", encoding="utf-8").close()  # an error here, and not when all is measured
    with tempfile.TemporaryDirectory() as scratch:
        folder = work or Path(scratch)
        if real:
            workload = prepare_real(folder, say=say)
        else:
            workload = prepare_workload(folder, documents, seed=seed, n_queries=queries, say=say)
        compared = _variants(peers_of, workload, peers, variants, say)
        record = Record(facts(workload, compared, n_threads, command), to)
        recorded = None if peers_of == "none" else record  # what building takes is not the point
        with Indexes(workload, n_threads, recorded, say, keep=keep) as indexes:
            yield Run(workload, compared, indexes, record, n_threads, say)


def _variants(
    peers_of: Peers, workload: Workload, peers: bool, only: str, say: Callable[[str], None]
) -> list[Variant]:
    from lexidex.eval.benchmarks.engines import own_variants
    from lexidex.eval.benchmarks.exact import OURS
    from lexidex.eval.benchmarks.harness import usable
    from lexidex.eval.benchmarks.peers import approximate_peers, exact_peers
    from lexidex.eval.benchmarks.workload import SYNTHETIC

    if peers_of == "exact":
        wanted = [OURS, *(exact_peers() if peers else [])]
    else:
        exact = [] if workload.collection == SYNTHETIC else [OURS]  # real ones are small
        wanted = [*own_variants(), *exact]
        wanted += approximate_peers(workload.n_documents) if peers else []
    names = chosen_names(only) or [""]
    return usable([v for v in wanted if any(name in v.name for name in names)], say)


def command_line(ctx: typer.Context) -> str:
    """The command with every option that differs from its default and changes the figures."""
    words = ["lexidex", "bench", ctx.info_name or ""]
    for option in ctx.command.params:
        value = ctx.params.get(option.name or "")
        if option.name in _NOT_SHOWN or value == option.default or value is None:
            continue
        if isinstance(value, list | tuple):
            words += [word for each in value for word in (option.opts[0], shlex.quote(str(each)))]
        elif option.param_type_name == "argument":
            words.append(shlex.quote(str(value)))
        elif isinstance(value, bool):
            words.append(option.opts[0] if value else option.secondary_opts[0])
        else:
            words += [option.opts[0], shlex.quote(str(value))]
    return " ".join(words)
