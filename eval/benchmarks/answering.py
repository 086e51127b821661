"""How a worker answers: JSON in and out, a line each, and nothing else on standard output."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np


def answer(make: Callable[[], Any]) -> None:
    """Answer requests until standard input ends, by methods of what `make` returns."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = make()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = getattr(worker, request.pop("do"))(**request)
        except Exception as error:  # told to the other side, which knows what to do without it
            reply = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply, default=_number) + "\n")
        replies.flush()


def _number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not JSON")
