"""Accuracy against time as an SVG, written by hand: one file, no plotting library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..svg import GRID, document, line, text_at
from .record import Line
from .search import TRIAL
from .sweep import LOWEST, frontier

WIDTH, HEIGHT = 860, 480
LEFT, RIGHT, TOP, BOTTOM = 64, 250, 48, 56
HIGHEST = 0.999
"""Accuracy at the head of the picture, where anything higher is drawn too; LOWEST is its foot."""

OUR_COLOURS = ("#0b5cad", "#3b8fd9")
PEER_COLOURS = ("#c2410c", "#7c3aed", "#4d7c0f", "#be185d", "#0f766e", "#a16207", "#57534e")
_LEVELS = (LOWEST, 0.90, 0.95, 0.97, 0.98, 0.99, 0.995, HIGHEST)


@dataclass(frozen=True)
class Curve:
    """A family's frontier: (accuracy, us) where no other point is both faster and better."""

    name: str
    points: list[tuple[float, float]]
    ours: bool


def frontiers(lines: Sequence[Line], task: str) -> list[Curve]:
    """The frontier of each family on one task, ours first, accuracy at least LOWEST."""
    trials = [line for line in lines if line["kind"] == TRIAL and line["task"] == task]
    families = {trial["family"]: trial["ours"] for trial in trials}
    curves = []
    for family, ours in sorted(families.items(), key=lambda item: (not item[1], item[0])):
        points = frontier(
            (trial["us"], trial["accuracy"])
            for trial in trials
            if trial["family"] == family and trial["accuracy"] >= LOWEST
        )
        if points:
            curves.append(Curve(family, [(reached, us) for us, reached in points], ours))
    return curves


def draw(curves: Sequence[Curve], title: str, subtitle: str) -> str:
    """An SVG document: time to the right, accuracy upwards; both by their ratios, not differences.

    Upwards that is the share missed: as far from .90 to .99 as from .99 to .999.
    """
    times = [us for curve in curves for _, us in curve.points] or [10.0, 100.0]
    scale = _Scale(min(times) / 1.15, max(times) * 1.15)
    parts = [
        text_at(LEFT, 22, title, size=15, weight="600"),
        text_at(LEFT, 39, subtitle, size=11),
        *_axes(scale),
    ]
    colours = {True: iter(OUR_COLOURS * 4), False: iter(PEER_COLOURS * 4)}
    for place, curve in enumerate(curves):
        parts += _curve(curve, next(colours[curve.ours]), place, scale)
    return document(WIDTH, HEIGHT, title, parts)


@dataclass(frozen=True)
class _Scale:
    """From microseconds and accuracy to places in the picture."""

    low: float
    high: float

    def x(self, us: float) -> float:
        share = math.log(us / self.low) / math.log(self.high / self.low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, reached: float) -> float:
        misses = max(1 - reached, 1 - HIGHEST)
        share = math.log(misses / (1 - HIGHEST)) / math.log((1 - LOWEST) / (1 - HIGHEST))
        return TOP + share * (HEIGHT - TOP - BOTTOM)

    def ticks(self) -> list[float]:
        """1, 2 and 5 times the powers of ten that lie inside."""
        exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        marks = [digit * 10.0**exponent for exponent in exponents for digit in (1, 2, 5)]
        return [mark for mark in marks if self.low <= mark <= self.high]


def _axes(scale: _Scale) -> list[str]:
    foot, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for us in scale.ticks():
        x = scale.x(us)
        parts.append(line(x, TOP, x, foot, GRID))
        parts.append(text_at(x, foot + 16, f"{us:,g}", anchor="middle"))
    for reached in _LEVELS:
        y = scale.y(reached)
        parts.append(line(LEFT, y, right, y, GRID))
        parts.append(text_at(LEFT - 8, y + 4, f"{reached:g}", anchor="end"))
    middle = (LEFT + right) / 2
    parts.append(text_at(middle, HEIGHT - 16, "microseconds of CPU time a query", anchor="middle"))
    parts.append(
        f'<g transform="translate(18 {(TOP + foot) / 2:.0f}) rotate(-90)">'
        + text_at(0, 0, "accuracy", anchor="middle")
        + "</g>"
    )
    return parts


def _curve(curve: Curve, colour: str, place: int, scale: _Scale) -> list[str]:
    places = [(scale.x(us), scale.y(reached)) for reached, us in curve.points]
    width = 2.5 if curve.ours else 1.4
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>']
    parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{colour}"/>' for x, y in places]
    y = TOP + 12 + 20 * place
    x = WIDTH - RIGHT + 18
    parts.append(line(x, y - 4, x + 22, y - 4, colour, width))
    weight = "600" if curve.ours else "400"
    parts.append(text_at(x + 30, y, curve.name, weight=weight))
    return parts
