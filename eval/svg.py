"""Parts of drawings in SVG, written by hand: one file, no plotting library."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape

INK, GRID = "#1f2933", "#d9dee3"


def document(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    """An SVG document of its parts on white; the title is what screen readers say."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="system-ui, sans-serif" role="img" '
        f'aria-label="{escape(title, {chr(34): "&quot;"})}">'
    )
    ground = f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    return "\n".join([head, ground, *parts, "</svg>"]) + "\n"


def line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> str:
    """A straight line."""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="{colour}" stroke-width="{width:g}"/>'
    )


def text_at(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 12, weight: str = "400"
) -> str:
    """A line of text, whose foot is at y; anchor: start, middle or end."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}" fill="{INK}">{escape(text)}</text>'
    )
