"""The command line: `lexidex`, also `python -m lexidex`.

Data goes to stdout, progress and messages to stderr. Exit status: 0 done; 1 failed; 2 wrong usage;
3 something named does not exist; 4 input left out or unreadable; 5 a damaged collection; 75 another
process is writing, try again; 130 interrupted.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.markup import escape

from lexidex import __version__
from lexidex.commands.bench import bench
from lexidex.commands.check import check
from lexidex.commands.compact import compact
from lexidex.commands.delete import delete
from lexidex.commands.demo import demo
from lexidex.commands.encode import encode
from lexidex.commands.evaluate import evaluate
from lexidex.commands.export import export, import_
from lexidex.commands.index import index
from lexidex.commands.mine import mine
from lexidex.commands.models import models
from lexidex.commands.output import err
from lexidex.commands.reencode import reencode
from lexidex.commands.search import explain, search
from lexidex.commands.serve import serve
from lexidex.commands.snapshot import restore, snapshot
from lexidex.commands.train import train
from lexidex.commands.train_attention import train_attention
from lexidex.commands.tune import tune
from lexidex.commands.update import update
from lexidex.errors import LexidexError

app = typer.Typer(
    name="lexidex",
    help="Learned sparse retrieval: index documents, search them, explain and measure the results.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(index)
app.command()(encode)
app.command()(search)
app.command()(explain)
app.command()(update)
app.command()(delete)
app.command("eval")(evaluate)
app.command()(check)
app.command()(compact)
app.command()(reencode)
app.command()(snapshot)
app.command()(restore)
app.command()(export)
app.command("import")(import_)
app.command()(tune)
app.command()(train)
app.command("train-attention")(train_attention)
app.command()(mine)
app.command()(serve)
app.command()(demo)
app.add_typer(models, name="models")
app.add_typer(bench, name="bench")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lexidex {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Options of `lexidex` itself."""


def main() -> None:
    """Run the command line; every error of ours is one line on stderr and an exit status."""
    try:
        app()
    except LexidexError as error:
        err.print(f"[red]error:[/] {escape(str(error))}", highlight=False)
        sys.exit(error.exit_code)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        err.print(f"[red]error:[/] {escape(where)}{error.strerror or error}", highlight=False)
        sys.exit(LexidexError.exit_code)
