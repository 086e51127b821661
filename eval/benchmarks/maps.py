"""How fast is one linear map: floats by torch, and our integer kernels, dense and block-sparse?"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from .record import Line, Record
from .tables import Table, number

KIND = "maps"
ABOUT = """One map of a MiniLM-shaped model's feed-forward part over 1,024 tokens, in one thread:
milliseconds of CPU time, quantising tokens and writing floats included. Block-sparse maps keep a
share of their 4x1 blocks; the ratio is to the dense map in integers."""

SHAPES = ((384, 1536), (1536, 384))
"""Inputs and outputs."""

SHARES = (0.3, 0.2, 0.1)
"""Blocks that are kept."""

_TOKENS = 1024
_BLOCK = 4


def run_maps(record: Record, rounds: int, seed: int) -> None:
    """Record the times of every map, in turns, round after round."""
    for n_inputs, n_outputs in SHAPES:
        ways = _ways(n_inputs, n_outputs, np.random.default_rng(seed))
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds + 1):
            for name, apply in ways.items():
                started = time.process_time()
                apply()
                times[name].append(time.process_time() - started)
        for name, found in times.items():
            seconds = median(found[1:])  # the first call compiles
            record.add(KIND, way=name, inputs=n_inputs, outputs=n_outputs, cpu_ms=1e3 * seconds)


def tables(lines: Sequence[Line]) -> list[Table]:
    """One table for each shape."""
    made = []
    for shape in dict.fromkeys((line["inputs"], line["outputs"]) for line in lines):
        chosen = [line for line in lines if (line["inputs"], line["outputs"]) == shape]
        dense = next(line["cpu_ms"] for line in chosen if line["way"] == "int8, dense")
        rows = [
            [line["way"], number(line["cpu_ms"], 2), number(dense / line["cpu_ms"], 2)]
            for line in chosen
        ]
        made.append(Table(f"{shape[0]} inputs, {shape[1]} outputs", ("", "ms", "ratio"), rows))
    return made


def _ways(n_inputs: int, n_outputs: int, rng: np.random.Generator) -> dict[str, Callable[[], Any]]:
    import torch

    from lexidex.encoders.engines.maps import BlockSparseMap, DenseMap

    torch.set_num_threads(1)
    weight = rng.standard_normal((n_outputs, n_inputs), dtype=np.float32)
    bias = rng.standard_normal(n_outputs, dtype=np.float32)
    states = rng.standard_normal((_TOKENS, n_inputs), dtype=np.float32)
    floats = [torch.from_numpy(array) for array in (states, weight, bias)]
    dense = DenseMap(weight, bias)
    ways: dict[str, Callable[[], Any]] = {
        "fp32, torch": lambda: torch.nn.functional.linear(*floats),
        "int8, dense": lambda: dense.apply(states),
    }
    for share in SHARES:
        kept = rng.random((n_outputs // _BLOCK, 1, n_inputs)) < share
        blocks = weight.reshape(-1, _BLOCK, n_inputs) * kept
        sparse = BlockSparseMap(blocks.reshape(weight.shape).astype(np.float32), bias)
        ways[f"int8, {share:.0%} of the blocks"] = partial(sparse.apply, states)
    return ways
