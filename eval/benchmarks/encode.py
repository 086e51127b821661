"""How fast texts become vectors, in how much memory, and what faster ways cost in quality."""

from __future__ import annotations

import gzip
import importlib.util
import json
import random
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from lexidex.errors import NotFound
from lexidex.index import ExactIndex

from ..judged import read_judged
from ..measures import evaluate, parse_measures
from .harness import BenchmarkError, WorkerProcess
from .record import Line, Record
from .tables import MB, Table, number

KIND = "encode"
QUALITY = "encode-quality"
ABOUT = """Passages of mixed length, from questions and answers, abstracts and manuals, through a
model of a kind: our ways to run it, and sentence-transformers'. Memory is what encoding takes at
its peak above the loaded model. A query has ten words and is encoded alone."""
QUALITY_ABOUT = """What the faster ways cost: nDCG@10 of exact search with documents and queries
encoded each way. The collections were only measured on."""

SOURCES = {"arxiv": 3, "medquad": 3, "nq": 2, "squad-sent": 2, "msdocs": 2}
"""Folders of pairs below the data folder's `train`, and their parts of the passages."""

BASELINE = "sentence-transformers, torch, batch 32"
QUERY_WORDS = 10
_N_QUERIES = 50
_MEASURE = "nDCG@10"


@dataclass(frozen=True)
class EncodeVariant:
    """A way to encode.

    Attributes:
        name: what tables call it.
        library: the worker's class.
        folder: the model's.
        options: of the worker's class.
        interpreter: whose environment has the library; None for this one.
        documents: whether documents are encoded; else queries alone.
    """

    name: str
    library: str
    folder: Path
    options: dict[str, Any] = field(default_factory=dict)
    interpreter: str | None = None
    documents: bool = True


class EncoderProcess(WorkerProcess):
    """An encoder in a process of its own."""

    def __init__(self, variant: EncodeVariant, log: Path, n_threads: int) -> None:
        """Start the process; what the library prints goes to the file `log`."""
        self._variant = variant
        arguments = [variant.library, str(variant.folder), json.dumps(variant.options)]
        threads = {f"{name}_NUM_THREADS": str(n_threads) for name in ("OMP", "MKL", "RAYON")}
        offline = {"HF_HUB_OFFLINE": "1"}
        super().__init__("encode_worker", arguments, log, {**threads, **offline})

    @property
    def name(self) -> str:
        return self._variant.name

    def _interpreter(self) -> str:
        return self._variant.interpreter or super()._interpreter()


def passages(data: Path, count: int, seed: int) -> list[str]:
    """That many passages of the training pairs in the data folder, mixed.

    Raises:
        NotFound: a file is not there.
    """
    chosen = random.Random(seed)
    found: list[str] = []
    for name, share in SOURCES.items():
        file = data / "train" / name / "pairs.jsonl.gz"
        if not file.is_file():
            raise NotFound(f"{file}: not there; LEXIDEX_DATA has to name the data folder")
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            pairs = [json.loads(line) for line in lines]
        wanted = count * share // sum(SOURCES.values())
        texts = [f"{pair.get('title', '')} {pair['text']}".strip() for pair in pairs]
        found += chosen.sample(texts, min(wanted, len(texts)))
    chosen.shuffle(found)
    return found


def inference_free(model: Path, to: Path, texts: Sequence[str]) -> Path:
    """A copy of a checkpoint with queries weighed by a table, the IDF of some texts' tokens."""
    from lexidex.encoders.tokenizer import ModelTokenizer
    from lexidex.encoders.weights import write_safetensors

    shutil.copytree(model, to)
    words = ModelTokenizer(model, max_length=None, special_tokens=False)
    frequencies = np.zeros(len(words))
    for ids in words.encode(texts):
        frequencies[np.unique(ids)] += 1
    weights = np.log1p((len(texts) - frequencies + 0.5) / (frequencies + 0.5))
    table = to / "query_0_SparseStaticEmbedding"
    table.mkdir()
    write_safetensors({"weight": weights.astype(np.float32)}, table / "model.safetensors")
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        if (model / name).exists():
            shutil.copyfile(model / name, table / name)
    pooling = "1_SpladePooling"
    types = {table.name: "SparseStaticEmbedding", "": "Transformer", pooling: "SpladePooling"}
    routes = {"query": [table.name], "document": ["", pooling]}
    described = {"types": types, "structure": routes}
    (to / "router_config.json").write_text(json.dumps(described), encoding="utf-8")
    modules = [{"idx": 0, "name": "0", "path": "", "type": "Router"}]
    (to / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    return to


def own_variants(model: Path, pruned: Sequence[Path]) -> list[EncodeVariant]:
    """Our ways to run a model, and pruned versions of it."""
    ways = [
        EncodeVariant("torch, fp32", "lexidex", model, {"backend": "torch"}),
        EncodeVariant("kernels, int8", "lexidex", model, {"backend": "kernels"}),
    ]
    ways += [
        EncodeVariant(f"kernels, {folder.name}", "lexidex", folder, {"backend": "kernels"})
        for folder in pruned
    ]
    return ways


def peer_variants(
    model: Path, scratch: Path, batches: Sequence[int], interpreter: str | None
) -> list[EncodeVariant]:
    """sentence-transformers' ways; the environment of `interpreter` may lack some of them."""
    name = "sentence-transformers"
    if interpreter is None and importlib.util.find_spec("sentence_transformers") is None:
        return []
    ways = [
        EncodeVariant(f"{name}, torch, batch {size}", name, model, {"batch": size})
        for size in batches
    ]
    exports: dict[str, dict[str, Any]] = {
        "ONNX, fp32": {"backend": "onnx"},
        "ONNX, int8": {"backend": "onnx", "int8": True},
        "OpenVINO, fp32": {"backend": "openvino"},
    }
    for label, options in exports.items():
        told = {**options, "batch": 32, "scratch": str(scratch / label)}
        ways.append(EncodeVariant(f"{name}, {label}, batch 32", name, model, told, interpreter))
    return ways


def run_encode(
    variants: Sequence[EncodeVariant],
    texts: Sequence[str],
    scratch: Path,
    *,
    n_threads: int,
    rounds: int,
    record: Record,
    say: Callable[[str], None],
) -> None:
    """Measure speed and memory, variant after variant, round after round.

    Args:
        texts: passages.
        scratch: for logs.
    """
    queries = [" ".join(text.split()[:QUERY_WORDS]) for text in texts[:_N_QUERIES]]
    with ExitStack() as stack:
        running: list[tuple[EncodeVariant, EncoderProcess]] = []
        for place, variant in enumerate(variants):
            process = EncoderProcess(variant, scratch / f"encoder-{place}.log", n_threads)
            stack.callback(process.close)
            say(f"loading {variant.name}")
            try:
                process.ask("load", texts=list(texts[:2]) if variant.documents else queries[:2])
            except BenchmarkError as error:
                say(f"left out: {error}")
                continue
            running.append((variant, process))
        encoded: dict[str, list[dict[str, float]]] = {variant.name: [] for variant, _ in running}
        asked: dict[str, list[dict[str, list[float]]]] = {
            variant.name: [] for variant, _ in running
        }
        for one in range(rounds):
            for variant, process in running:
                say(f"round {one + 1}: {variant.name}")
                if variant.documents:
                    encoded[variant.name].append(process.ask("encode", texts=list(texts)))
                asked[variant.name].append(process.ask("ask", texts=queries))
        for variant, _ in running:
            figures = _figures(encoded[variant.name], asked[variant.name], len(texts))
            record.add(KIND, variant=variant.name, threads=n_threads, **figures)


def run_quality(
    variants: Sequence[EncodeVariant],
    collections: Sequence[Path],
    scratch: Path,
    *,
    n_threads: int,
    record: Record,
    say: Callable[[str], None],
) -> None:
    """nDCG@10 of exact search on BEIR folders, for each variant that encodes documents."""
    for variant in variants:
        if not variant.documents:
            continue
        with EncoderProcess(variant, scratch / "quality.log", n_threads) as process:
            for folder in collections:
                say(f"{variant.name}: encoding {folder.name}")
                try:
                    figures = _quality(process, folder, scratch)
                except BenchmarkError as error:
                    say(f"left out: {error}")
                    continue
                record.add(QUALITY, variant=variant.name, collection=folder.name, **figures)


def tables(lines: Sequence[Line]) -> list[Table]:
    """One table for each number of threads; ratios to sentence-transformers' default."""
    made = []
    for threads in dict.fromkeys(line["threads"] for line in lines):
        chosen = [line for line in lines if line["threads"] == threads]
        rates = {line["variant"]: line["documents_per_cpu_s"] for line in chosen}
        base = rates.get(BASELINE)
        rows = [[*_row(line), _ratio(rates[line["variant"]], base)] for line in chosen]
        columns = (
            "",
            "documents / CPU s",
            "documents / s",
            "peak MB",
            "query ms (CPU)",
            "ratio",
        )
        made.append(Table(f"{threads} thread{'s' if threads > 1 else ''}", columns, rows))
    return made


def quality_tables(lines: Sequence[Line]) -> list[Table]:
    """One table for each collection; losses against our fp32."""
    made = []
    for collection in dict.fromkeys(line["collection"] for line in lines):
        chosen = [line for line in lines if line["collection"] == collection]
        exact = [line["ndcg"] for line in chosen if line["variant"] == "torch, fp32"]
        rows = [
            [
                line["variant"],
                number(line["ndcg"], 4),
                f"{100 * (line['ndcg'] / exact[0] - 1):+.2f} %" if exact else "",
                number(line["document_nnz"], 0),
                number(line["query_nnz"], 1),
            ]
            for line in chosen
        ]
        columns = ("", _MEASURE, "change", "terms a document", "terms a query")
        made.append(Table(collection, columns, rows))
    return made


def _figures(
    encoded: Sequence[dict[str, float]], asked: Sequence[dict[str, list[float]]], n_texts: int
) -> dict[str, Any]:
    figures: dict[str, Any] = {
        f"query_{clock}_ms": 1e3
        * float(np.median([np.median(each[f"{clock}_s"]) for each in asked]))
        for clock in ("cpu", "wall")
    }
    if not encoded:
        return {**figures, "documents_per_cpu_s": None, "documents_per_s": None, "peak": None}
    return {
        **figures,
        "documents_per_cpu_s": n_texts / median(each["cpu_s"] for each in encoded),
        "documents_per_s": n_texts / median(each["wall_s"] for each in encoded),
        "peak": max(each["peak"] for each in encoded),
    }


def _quality(process: EncoderProcess, folder: Path, scratch: Path) -> dict[str, float]:
    from lexidex.sources import Reader

    documents = list(Reader([folder]))
    judged = read_judged(folder)
    query_ids = list(judged.queries)
    asked = [str(judged.queries[query_id]) for query_id in query_ids]
    found = {}
    for name, texts in (("documents", [each.full_text for each in documents]), ("queries", asked)):
        file = scratch / f"{name}.npz"
        process.ask("vectors", texts=texts, queries=name == "queries", to=str(file))
        found[name] = _read_vectors(file)
    dim = max(vectors.shape[1] for vectors in found.values())
    for vectors in found.values():
        vectors.resize((vectors.shape[0], dim))
    scores, ordinals = ExactIndex.build(found["documents"]).search(found["queries"], k=11)
    run = {
        query_id: {
            documents[at].id: float(score)
            for at, score in zip(ordinals[row], scores[row], strict=True)
            if at >= 0 and documents[at].id != query_id
        }
        for row, query_id in enumerate(query_ids)
    }
    means = evaluate(judged.qrels, run, parse_measures(_MEASURE)).means
    return {
        "ndcg": means[_MEASURE],
        "document_nnz": found["documents"].nnz / len(documents),
        "query_nnz": found["queries"].nnz / len(asked),
    }


def _read_vectors(file: Path) -> csr_array:
    with np.load(file) as arrays:
        parts = arrays["data"], arrays["indices"], arrays["indptr"]
    vectors = csr_array(parts, shape=(parts[2].size - 1, int(parts[1].max(initial=0)) + 1))
    vectors.sort_indices()
    return vectors


def _row(line: Line) -> list[str]:
    return [
        line["variant"],
        number(line["documents_per_cpu_s"], 1),
        number(line["documents_per_s"], 1),
        number(None if line["peak"] is None else line["peak"] / MB),
        number(line["query_cpu_ms"], 3 if line["query_cpu_ms"] < 1 else 1),
    ]


def _ratio(rate: float | None, base: float | None) -> str:
    return f"{rate / base:.2f}" if rate and base else ""
