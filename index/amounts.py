"""Is this value a number that a parameter may have? Whatever type a caller has given."""

from __future__ import annotations

import math

import numpy as np


def is_amount(value: object) -> bool:
    """Whether it is a finite number of at least 0; True and False are none."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return bool(0 <= value < math.inf)


def is_whole(value: object, least: int) -> bool:
    """Whether it is an integer of at least `least`; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
