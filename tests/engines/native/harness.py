"""The library compiled into a program: for emulated processors and for sanitizers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.engines.native import build
from app.engines.native.weights import Array
from tests.engines.native.layers import (
    EPSILON,
    Layers,
    assert_close,
    halves,
    normal_floats,
    normalized,
    random_layers,
)

SOURCE = Path(__file__).with_name("harness.c")
SECONDS = 60
PARTS = [
    f"{part}.{name}"
    for part in ("attention", "mixed", "up", "down")
    for name in ("weights", "start", "scale", "bias")
] + [f"{part}_norm.{name}" for part in ("mixed", "down") for name in ("scale", "shift")]


def compiled(compiler: str, flags: Sequence[str], program: Path) -> Path:
    command = [compiler, *build.FLAGS, *build.WARNINGS, *flags, f"-I{build.SOURCE.parent}"]
    result = subprocess.run(
        [*command, str(SOURCE), "-o", str(program), "-lm"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    return program


@dataclass(frozen=True)
class Harness:
    """`emulator` runs the program, and `environment` is added to that of the tests."""

    program: Path
    emulator: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, arrays: Iterator[Array]) -> NDArray[np.float32]:
        """All results, one after the other."""
        source, target = (self.program.with_suffix(suffix) for suffix in (".in", ".out"))
        source.write_bytes(
            b"".join(np.int64(array.nbytes).tobytes() + array.tobytes() for array in arrays)
        )
        result = subprocess.run(
            [*self.emulator, str(self.program), str(source), str(target)],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert result.returncode == 0, f"{result.returncode}: {result.stderr[-4000:]}"
        return np.fromfile(target, np.float32)


@dataclass(frozen=True)
class Work:
    """Layers, a product and a norm; numpy says what they give."""

    layers: Layers
    lengths: Sequence[int]
    rows: int
    first_only: bool = False

    def __str__(self) -> str:
        return f"{self.lengths}-{self.rows}-{'first' if self.first_only else 'all'}"

    def check(self, harness: Harness, name: str) -> None:
        """`name` is the kind of processor. Each result is compared with that of numpy."""
        states, left, right, *sides = self._inputs()
        results = harness.run(self._arrays(name, [states, left, right, *sides]))
        sizes = (states.shape, (self.rows, right.shape[1]), sides[0].shape)
        ends = np.cumsum([rows * columns for rows, columns in sizes])
        encoded, product, norm = (
            result.reshape(size)
            for result, size in zip(np.split(results, ends[:-1]), sizes, strict=True)
        )
        expected = self.layers.states(
            states.astype(np.float64), halves(self.lengths), self.lengths, name
        )
        if self.first_only:
            expected = expected[np.cumsum([0, *self.lengths[:-1]])]
        assert_close(encoded[: len(expected)], expected)
        assert np.allclose(product, left.astype(np.float64) @ right, atol=1e-4)
        assert np.allclose(norm, normalized(*sides), atol=1e-4)

    def _inputs(self) -> list[NDArray[np.float32]]:
        """States; both sides of a product; states, what is added, scale and shift of a norm."""
        chance, width = np.random.default_rng(4), self.layers.shape.width
        sizes = [(sum(self.lengths), width), (self.rows, 37), (37, 96)]
        return [
            normal_floats(chance, *size)
            for size in [*sizes, (self.rows, width), (self.rows, width), (width,), (width,)]
        ]

    def _arrays(self, name: str, inputs: Sequence[NDArray[np.float32]]) -> Iterator[Array]:
        """As harness.c reads them."""
        shape, arrays = self.layers.shape, self.layers.arrays(name)
        states, left, right, *sides = inputs
        sizes = shape.width, shape.heads, shape.inner, shape.layers
        epsilon = np.array([EPSILON], np.float32)
        yield np.array([*sizes, self.first_only, len(self.lengths)], np.int32)
        yield epsilon
        for number in range(shape.layers):
            for part in (*PARTS, "gates"):
                yield arrays.get(f"{number}.{part}", np.empty(0))
        yield np.array([0, *np.cumsum(self.lengths)], np.int32)
        yield np.array(halves(self.lengths), np.int32)
        yield states
        yield np.array([*left.shape, right.shape[1]], np.int32)
        yield from (left, right)
        yield np.array(sides[0].shape, np.int32)
        yield epsilon
        yield from sides


def works() -> Iterator[Work]:
    """One more or less than what fills vectors, tiles and blocks of any kind of processor."""
    wide, narrow = (
        random_layers(width, 4, inner, layers=1) for width, inner in ((256, 128), (128, 256))
    )
    yield Work(wide, [1], rows=1)
    yield Work(narrow, [2, 3, 15, 16, 17, 31], rows=7)
    yield Work(narrow, [33, 1, 113], rows=15, first_only=True)
    yield Work(narrow.without_gates(), [5, 1, 9], rows=5)
