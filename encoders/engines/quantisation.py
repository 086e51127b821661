"""Weights as integers of a byte, symmetric around 0: weight = integer * scale of its output."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from lexidex.index.vectors import Float32s

Int8s: TypeAlias = NDArray[np.int8]

LARGEST = 127
"""Integers lie in [-127, 127]; -128 is not used, so that the negative of each exists."""


def quantise(weight: Float32s) -> tuple[Int8s, Float32s]:
    """Integers and scales, one for each output, of a weight float32 (inputs, outputs).

    Returns:
        int8 (inputs, outputs), and float32 (outputs,), above 0: their product is the weight, but
        for half a scale at most.
    """
    scales = np.abs(weight).max(axis=0) / np.float32(LARGEST)
    scales[scales == 0] = 1
    return np.rint(weight / scales).astype(np.int8), scales.astype(np.float32)
