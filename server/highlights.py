"""Which words of a document a query's terms are found in, and how much each adds to the score."""

from __future__ import annotations

from dataclasses import dataclass

from lexidex.encoders import Encoder
from lexidex.results import Explanation, Hit


@dataclass(frozen=True, slots=True)
class Highlight:
    """A stretch of `field` that shows `term`; `start` and `end` count Unicode code points."""

    field: str
    start: int
    end: int
    term: str
    product: float


def highlights(encoder: Encoder, explanation: Explanation, hit: Hit) -> list[Highlight]:
    """Every place in title and passage that shows a term of the explanation, in order.

    Those of the passage are told as places in the document's text. Terms that no place shows
    matched by expansion: the encoder gave them to the document although its text does not have
    them.
    """
    products = {encoder.component(term.term): term for term in explanation.terms}
    shown = (("title", 0, hit.title), ("text", hit.passage.start, hit.passage.text))
    return [
        Highlight(name, first + start, first + end, products[place].term, products[place].product)
        for name, first, text in shown
        for start, end, place in encoder.spans(text or "")
        if place in products
    ]
