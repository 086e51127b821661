"""`lexidex mine`: hard negatives, by our own index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lexidex.errors import ParameterError

from .output import AsJson, Quiet, out, print_json, progress

if TYPE_CHECKING:
    from lexidex.encoders.training.negatives import Band
    from lexidex.encoders.training.sections import TeacherSection


def mine(
    data: Annotated[
        Path,
        typer.Argument(
            help="Pairs: .jsonl[.gz], or a folder with pairs.jsonl or a BEIR collection."
        ),
    ],
    to: Annotated[Path, typer.Option("--to", help="Parquet file to write.")],
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="What ranks: bm25, an encoder's folder or hub id, or dense:FOLDER. Several, by "
            "repeating it, take turns rank by rank."
        ),
    ] = None,
    bands: Annotated[
        str, typer.Option(help="FIRST-LAST:NUMBER of ranks and negatives, by commas.")
    ] = "1-100:8",
    best: Annotated[
        bool, typer.Option("--best", help="Take the best of each band instead of drawing.")
    ] = False,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            help="Who scores the lists: bm25, encoder:FOLDER, dense:FOLDER or "
            "cross-encoder:FOLDER. Scores of several are levelled (min-max) and averaged."
        ),
    ] = None,
    absolute_margin: Annotated[
        float | None,
        typer.Option(
            help="Leave out what the teacher scores above the positive less this; levelled scores "
            "of several teachers lie between 0 and 1."
        ),
    ] = None,
    relative_margin: Annotated[
        float | None, typer.Option(help="The same, as a share of the positive's score.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which qrels of a BEIR collection.")] = "train",
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Find documents that rank high and do not answer the query, for `lexidex train --candidates`.

    Each line of the file is a query, its answer and the negatives, with the teacher's scores where
    there is a teacher.
    """
    from lexidex.encoders.training.named_models import combined, retriever
    from lexidex.encoders.training.negatives import Mining
    from lexidex.encoders.training.negatives import mine as mined_from
    from lexidex.encoders.training.pairs import read_pairs

    rules = Mining(parse_bands(bands), not best, absolute_margin, relative_margin, seed)
    pairs = read_pairs(data, split)
    retrievers = [retriever(name) for name in by or ["bm25"]]
    judge = combined([_section(each) for each in teacher], pairs) if teacher else None
    with progress("Mining", total=len(pairs), quiet=quiet) as count:
        candidates = mined_from(pairs, retrievers, rules, judge, count)
    candidates.save(to, pairs)
    negatives = sum(documents.size - 1 for documents in candidates.documents)
    without = sum(documents.size == 1 for documents in candidates.documents)
    if as_json:
        print_json(
            {
                "lists": len(candidates),
                "negatives": negatives,
                "without": without,
                "scored": candidates.scores is not None,
            }
        )
        return
    out.print(
        f"{to}: {len(candidates):,} lists with {negatives / max(len(candidates), 1):.1f} negatives "
        f"on average; {without:,} have none",
        highlight=False,
    )


def parse_bands(text: str) -> list[Band]:
    """Bands of "1-50:4, 51-200:4"; ParameterError for anything else."""
    from lexidex.encoders.training.negatives import Band

    found = []
    for part in text.split(","):
        ranks, _, count = part.strip().partition(":")
        first, _, last = ranks.partition("-")
        try:
            found.append(Band(int(first), int(last), int(count)))
        except ValueError as error:
            told = str(error) if isinstance(error, ParameterError) else "as in 1-100:8"
            raise ParameterError(
                f"--bands {part.strip()!r}; expected FIRST-LAST:NUMBER: {told}"
            ) from None
    return found


def _section(given: str) -> TeacherSection:
    from pydantic import ValidationError

    from lexidex.encoders.training.sections import TeacherSection

    kind, _, path = given.partition(":")
    try:
        return TeacherSection.model_validate({"kind": kind, "path": path or None})
    except ValidationError:
        raise ParameterError(
            f"--teacher {given!r}; expected bm25, encoder:FOLDER, dense:FOLDER or "
            "cross-encoder:FOLDER"
        ) from None
