"""The learning curve: what a training's log says, as an SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lexidex.eval.svg import GRID, document, line, text_at

WIDTH, PANEL, GAP = 860, 150, 54
LEFT, RIGHT, TOP = 72, 190, 64
COLOURS = ("#0b5cad", "#c2410c")

PANELS: Sequence[tuple[str, Mapping[str, str]]] = (
    ("nDCG@10, held out", {"eval_nDCG@10": "nDCG@10"}),
    ("loss", {"loss": "loss"}),
    ("terms of a text", {"nnz_documents": "documents", "nnz_queries": "queries"}),
)
"""Title, and key of the log -> name."""

_N_TICKS = 4


@dataclass(frozen=True)
class _Series:
    name: str
    points: list[tuple[float, float]]


def draw_curve(log: Sequence[Mapping[str, float]], title: str) -> str:
    """An SVG document: one panel each for effectiveness, loss and sparsity, over the steps.

    Args:
        log: lines with "step" and values by name, as the Trainer keeps them.
        title: of the drawing.
    """
    last = max((entry["step"] for entry in log), default=1) or 1
    parts = [text_at(LEFT, 24, title, size=15, weight="600")]
    for place, (name, keys) in enumerate(PANELS):
        series = [
            _Series(shown, [(entry["step"], entry[key]) for entry in log if key in entry])
            for key, shown in keys.items()
        ]
        parts += _panel(TOP + place * (PANEL + GAP), name, series, last)
    height = TOP + len(PANELS) * (PANEL + GAP)
    parts.append(text_at((LEFT + WIDTH - RIGHT) / 2, height - 14, "steps", anchor="middle"))
    return document(WIDTH, height, title, parts)


def _panel(top: float, title: str, series: Sequence[_Series], last: float) -> list[str]:
    values = [value for each in series for _, value in each.points if math.isfinite(value)]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    right, foot = WIDTH - RIGHT, top + PANEL

    def x(step: float) -> float:
        return LEFT + step / last * (right - LEFT)

    def y(value: float) -> float:
        return foot - (value - low) / (high - low) * PANEL

    parts = [text_at(LEFT, top - 10, title, weight="600")]
    for tick in ticks:
        parts.append(line(LEFT, y(tick), right, y(tick), GRID))
        parts.append(text_at(LEFT - 8, y(tick) + 4, f"{tick:g}", anchor="end"))
    parts += [
        text_at(x(step), foot + 16, f"{step:g}", anchor="middle")
        for step in _ticks(0, last)
        if step <= last
    ]
    for number, each in enumerate(series):
        finite = [(step, value) for step, value in each.points if math.isfinite(value)]
        if not finite:
            continue
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in finite)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{x(step):.1f}" cy="{y(value):.1f}" r="2.2" fill="{colour}"/>'
            for step, value in finite
        ]
        shown = f"{each.name} {finite[-1][1]:.4g}"
        parts.append(
            line(right + 14, top + 8 + 20 * number, right + 34, top + 8 + 20 * number, colour, 2)
        )
        parts.append(text_at(right + 40, top + 12 + 20 * number, shown))
    return parts


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers from `low` or below to `high` or above, about five of them."""
    span = (high - low) or abs(high) or 1.0
    rough = span / _N_TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= rough * 0.999)
    first, end = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, max(end, first + 1) + 1)]
