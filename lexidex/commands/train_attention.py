"""`lexidex train-attention`: maps and temperature of attention, for reranking a collection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from .encoder_options import TrustRemoteCode
from .output import AsJson, Quiet, out, print_json, progress
from .search import Directory, ModeOption, SearchMode


def train_attention(
    directory: Directory,
    data: Annotated[Path, typer.Option("--data", help="BEIR folder with queries and qrels.")],
    to: Annotated[Path, typer.Option("--to", help="Folder for what is learned.")],
    split: Annotated[str, typer.Option(help="Which of the folder's qrels.")] = "train",
    mode: ModeOption = SearchMode.sparse,
    depth: Annotated[
        int, typer.Option(min=2, help="Documents of each search that it learns to order.")
    ] = 30,
    width: Annotated[
        int | None,
        typer.Option(
            min=0, help="Columns of the maps; default: dimensions of the vectors; 0 for no maps."
        ),
    ] = None,
    all_negatives: Annotated[
        bool,
        typer.Option(
            "--all-negatives",
            help="Learn from documents, too, that are relevant to no judged query: for many "
            "thousand queries.",
        ),
    ] = False,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the optimiser.")] = 300,
    learning_rate: Annotated[float, typer.Option(help="Of the optimiser.")] = 1e-4,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train attention on what a collection finds for judged queries; see docs/RERANKING.md.

    The folder is for --rerank of `lexidex search` and `eval`, and --reranker of `serve`.
    """
    from lexidex.collection import Collection
    from lexidex.encoders.training.attention import AttentionTraining
    from lexidex.encoders.training.attention import train_attention as train
    from lexidex.eval.attention_tuning import attention_lists
    from lexidex.eval.judged import read_judged

    training = AttentionTraining(width, steps, learning_rate=learning_rate, seed=seed)
    judged = read_judged(data, split)
    collection = Collection.open(directory, trust_remote_code=trust_remote_code)
    with progress("Searching", total=len(judged.queries), quiet=quiet) as count:
        lists = attention_lists(
            collection,
            judged,
            mode=mode.value,
            depth=depth,
            all_negatives=all_negatives,
            progress=count,
        )
    side = collection.dense_side
    encoder = side.encoder.fingerprint if side is not None and side.encoder is not None else None
    with progress("Training", total=steps, quiet=quiet) as count:
        result = train(lists, training, encoder=encoder, progress=count)
    result.attention.save(to)
    rows = {
        "search": result.first,
        "attention before": result.before,
        "attention": result.after,
        "search and attention": result.fused,
    }
    if as_json:
        print_json(
            {
                "lists": len(lists),
                "temperature": result.attention.temperature,
                "weight": result.attention.fusion.weights["rerank"],
                "reciprocal_rank": rows,
            }
        )
        return
    table = Table("", "RR, kept back", box=None, pad_edge=False)
    for name, value in rows.items():
        table.add_row(name, f"{value:.4f}")
    out.print(table)
    out.print(
        f"{to}: temperature {result.attention.temperature:.4f}, weight "
        f"{result.attention.fusion.weights['rerank']:.2f}; trained on {len(lists):,} lists",
        highlight=False,
    )
