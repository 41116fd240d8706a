"""How the time that something takes grows with what it is given."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from math import sqrt
from typing import TypeVar

Input = TypeVar("Input")

FACTOR = 8.0  # for four times the input: half-way, by ratio, from linear (4) to quadratic (16)
FLOOR_SECONDS = 0.004  # what takes less, even for the larger input, is only noise
CLEAR_SECONDS = 0.3  # no noise is that long
REPEATS = 5


def growth(run: Callable[[Input], object], make: Callable[[int], Input], size: int) -> float:
    """Times that `4 * size` takes longer than `size`; 0 where both take next to nothing.

    Measured in this thread's time on a processor, so that a busy machine does not count. What
    looks bad is measured again, and then once more with four times the input: on average of both
    steps noise counts half.
    """
    large, small = make(4 * size), make(size)
    longer = seconds(run, large)
    if longer < FLOOR_SECONDS:
        return 0.0
    shorter = min(seconds(run, small) for _ in range(3))
    for _ in range(REPEATS):
        if longer <= FACTOR * shorter or longer > CLEAR_SECONDS:
            break
        shorter = min(shorter, seconds(run, small))
        longer = min(longer, seconds(run, large))
    grown = longer / max(shorter, 1e-6)
    if not FACTOR < grown < 2 * FACTOR or longer > CLEAR_SECONDS:
        return grown
    largest = min(seconds(run, make(16 * size)) for _ in range(2))
    return min(grown, sqrt(largest / max(shorter, 1e-6)))


def seconds(run: Callable[[Input], object], argument: Input) -> float:
    gc.disable()  # its cost grows with all that this process holds
    try:
        started = time.thread_time()
        run(argument)
        return time.thread_time() - started
    finally:
        gc.enable()
