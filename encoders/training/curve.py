"""The learning curve: what a training's log says, as an SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

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

Log: TypeAlias = Sequence[Mapping[str, float]]
"""Lines with "step" and values by name, as the Trainer keeps them."""

_N_TICKS = 4


@dataclass(frozen=True)
class _Series:
    name: str
    rounds: list[list[tuple[float, float]]]

    @property
    def values(self) -> list[float]:
        return [value for points in self.rounds for _, value in points]


def draw_curve(rounds: Sequence[Log], title: str) -> str:
    """An SVG document: one panel each for effectiveness, loss and sparsity, over the steps.

    Rounds stand one behind the other, with a line between: a student begins anew in each. Panels of
    which the logs say nothing are left out.

    Args:
        rounds: their logs.
        title: of the drawing.
    """
    lengths = [max((line["step"] for line in log), default=0) for log in rounds]
    starts = [sum(lengths[:number]) for number in range(len(rounds))]
    drawn = [(name, _series(keys, rounds, starts)) for name, keys in PANELS]
    drawn = [(name, series) for name, series in drawn if any(each.values for each in series)]
    parts = [text_at(LEFT, 24, title, size=15, weight="600")]
    for place, (name, series) in enumerate(drawn):
        top = TOP + place * (PANEL + GAP)
        parts += _panel(top, name, series, starts[1:], sum(lengths) or 1)
    height = TOP + len(drawn) * (PANEL + GAP)
    parts.append(text_at((LEFT + WIDTH - RIGHT) / 2, height - 14, "steps", anchor="middle"))
    return document(WIDTH, height, title, parts)


def _series(
    keys: Mapping[str, str], rounds: Sequence[Log], starts: Sequence[float]
) -> list[_Series]:
    """What a panel shows, without what is no number."""
    return [
        _Series(
            shown,
            [
                [
                    (start + line["step"], line[key])
                    for line in log
                    if math.isfinite(line.get(key, math.nan))
                ]
                for start, log in zip(starts, rounds, strict=True)
            ],
        )
        for key, shown in keys.items()
    ]


def _panel(
    top: float, title: str, series: Sequence[_Series], bounds: Sequence[float], last: float
) -> list[str]:
    values = [value for each in series for value in each.values]
    low, high = min(values), max(values)
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
    parts += [line(x(step), top, x(step), foot, GRID) for step in bounds]
    for number, each in enumerate(series):
        if not each.values:
            continue
        colour = COLOURS[number % len(COLOURS)]
        for points in each.rounds:
            placed = [(f"{x(step):.1f}", f"{y(value):.1f}") for step, value in points]
            path = " ".join(",".join(place) for place in placed)
            parts.append(
                f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            )
            parts += [
                f'<circle cx="{across}" cy="{down}" r="2.2" fill="{colour}"/>'
                for across, down in placed
            ]
        shown = f"{each.name} {each.values[-1]:.4g}"
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
