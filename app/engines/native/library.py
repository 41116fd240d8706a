"""The compiled library, called with arrays whose sizes were checked. It releases Python's lock."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.engines import processors
from app.engines.native.architecture import GROUP, PANEL
from app.engines.native.build import FLAGS_BY_ABILITY, FOLDER, library_file
from app.engines.native.weights import Arrays, Shape
from app.engines.rounding import Floats

Whole = NDArray[np.int32]

# Of a line of the cache: vectors are read fastest from such addresses.
ALIGNMENT = 64
# They add two neighbouring products in 16 bits.
NEIGHBOURING = frozenset({"avx2"})


class Matrix(ctypes.Structure):
    _fields_ = (
        ("inputs", ctypes.c_int32),
        ("outputs", ctypes.c_int32),
        *((name, ctypes.c_void_p) for name in ("weights", "start", "scale", "bias")),
    )


class Layer(ctypes.Structure):
    _fields_ = (
        *((name, Matrix) for name in ("attention", "mixed", "up", "down")),
        *(
            (f"{part}_{name}", ctypes.c_void_p)
            for part in ("mixed", "down")
            for name in ("scale", "shift")
        ),
        ("gates", ctypes.c_void_p),
    )


class EncoderFields(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int32) for name in ("width", "heads", "inner")),
        ("epsilon", ctypes.c_float),
        ("layers", ctypes.POINTER(Layer)),
    )


def available(folder: Path = FOLDER) -> str | None:
    """The best library that was compiled and that this processor can run, by its name."""
    abilities = processors.abilities()
    fitting = (name for name in FLAGS_BY_ABILITY if name in abilities)
    return next((name for name in fitting if library_file(name, folder).is_file()), None)


def compiled(folder: Path = FOLDER) -> list[str]:
    return [name for name in FLAGS_BY_ABILITY if library_file(name, folder).is_file()]


class Library:
    def __init__(self, file: Path) -> None:
        """Raises OSError where the file cannot be loaded."""
        library = ctypes.CDLL(str(file))
        pointer, number = ctypes.c_void_p, ctypes.c_int32
        self.encode = library.encode
        encoder = ctypes.POINTER(EncoderFields)
        self.encode.argtypes = (
            *(encoder, number, number, number),  # which layers
            *(pointer, number, pointer, pointer, pointer),  # states, sequences, memory
        )
        self.encode.restype = None
        self.room_size = library.room_size
        self.room_size.argtypes = (encoder, number, number)
        self.room_size.restype = ctypes.c_ssize_t
        self.normalize = library.normalize
        self.normalize.argtypes = (
            pointer,
            pointer,
            number,
            number,
            pointer,
            pointer,
            ctypes.c_float,
        )
        self.normalize.restype = None
        self.multiply = library.multiply
        self.multiply.argtypes = (pointer, number, number, pointer, number, pointer)
        self.multiply.restype = None


@cache
def opened(name: str) -> Library:
    return Library(library_file(name))


def aligned_bytes(size: int) -> NDArray[np.uint8]:
    """At an address from which vectors are read fastest."""
    room = np.empty(size + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + size]


def aligned(array: NDArray[np.generic]) -> NDArray[np.generic]:
    copy = aligned_bytes(array.nbytes).view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


class Encoder:
    """The layers of a model. Called from several threads at once, each with a room of its own."""

    def __init__(self, library: Library, shape: Shape, arrays: Arrays) -> None:
        """Raises ValueError where the sizes of arrays do not fit."""
        if shape.width % GROUP or shape.inner % GROUP or shape.width // shape.heads % PANEL:
            raise ValueError(f"{shape} has sizes that do not fill groups and panels")
        self.shape = shape
        self._library = library
        self._kept: list[NDArray[np.generic]] = []
        layers = (Layer * shape.layers)(
            *(self._layer(number, arrays) for number in range(shape.layers))
        )
        self._fields = EncoderFields(shape.width, shape.heads, shape.inner, shape.epsilon, layers)

    def _layer(self, number: int, arrays: Arrays) -> Layer:
        width, inner = self.shape.width, self.shape.inner

        def matrix(part: str, inputs: int, outputs: int) -> Matrix:
            sizes: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
                "weights": (np.int8, (outputs // PANEL, inputs // 4, PANEL, 4)),
                "start": (np.int32, (inputs // GROUP, outputs)),
                "scale": (np.float32, (outputs,)),
                "bias": (np.float32, (outputs,)),
            }
            return Matrix(
                inputs,
                outputs,
                *(
                    self._address(arrays[f"{number}.{part}.{name}"], dtype, size)
                    for name, (dtype, size) in sizes.items()
                ),
            )

        norms = [
            self._address(arrays[f"{number}.{part}_norm.{name}"], np.float32, (width,))
            for part in ("mixed", "down")
            for name in ("scale", "shift")
        ]
        gates = arrays.get(f"{number}.gates")
        return Layer(
            matrix("attention", width, 3 * width),
            matrix("mixed", width, width),
            matrix("up", width, inner),
            matrix("down", inner, width),
            *norms,
            None if gates is None else self._address(gates, np.float32, (2, self.shape.heads)),
        )

    def _address(
        self, array: NDArray[np.generic], dtype: type[np.generic], size: tuple[int, ...]
    ) -> int:
        if array.dtype != dtype or array.shape != size:
            raise ValueError(f"an array is {array.dtype} {array.shape}, not {dtype} {size}")
        self._kept.append(aligned(array))
        return self._kept[-1].ctypes.data

    def room_size(self, tokens: int, longest: int) -> int:
        """Bytes that `encode` needs for so many tokens, the longest sequence of `longest`."""
        return int(self._library.room_size(ctypes.byref(self._fields), tokens, longest))

    def encode(
        self,
        states: Floats,
        lengths: Sequence[int],
        splits: Sequence[int],
        room: NDArray[np.uint8],
        *,
        first: int,
        end: int,
        first_only: bool = False,
    ) -> None:
        """In place, from layer `first` up to `end`. See encoder.c."""
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        parts = np.asarray(splits, dtype=np.int32)
        tokens = int(starts[-1])
        checks = (
            0 <= first <= end <= self.shape.layers,
            min(lengths, default=0) > 0,
            states.shape == (tokens, self.shape.width),
            states.dtype == np.float32 and states.flags.c_contiguous and states.flags.writeable,
            len(parts) == len(lengths)
            and all(0 <= split <= n for split, n in zip(splits, lengths, strict=True)),
            room.nbytes >= self.room_size(tokens, max(lengths, default=0)),
        )
        if not all(checks):
            raise ValueError(f"arguments do not fit: {checks}")
        self._library.encode(
            ctypes.byref(self._fields),
            first,
            end,
            first_only,
            states.ctypes.data,
            len(lengths),
            starts.ctypes.data,
            parts.ctypes.data,
            room.ctypes.data,
        )

    def normalize(self, states: Floats, added: Floats, scale: Floats, shift: Floats) -> None:
        """states = normalized(states + added), in place."""
        for array, size in (
            (states, added.shape),
            (scale, (self.shape.width,)),
            (shift, (self.shape.width,)),
            (added, (len(states), self.shape.width)),
        ):
            check_floats(array, size)
        self._library.normalize(
            states.ctypes.data,
            added.ctypes.data,
            len(states),
            self.shape.width,
            scale.ctypes.data,
            shift.ctypes.data,
            self.shape.epsilon,
        )

    def multiply(self, rows: Floats, weights: Floats) -> Floats:
        """Each row by itself, so that no row depends on how many there are."""
        inner, columns = weights.shape
        check_floats(rows, (len(rows), inner))
        check_floats(weights, weights.shape)
        if columns % PANEL:
            raise ValueError(f"{columns} columns do not fill panels of {PANEL}")
        out = np.empty((len(rows), columns), np.float32)
        self._library.multiply(
            rows.ctypes.data, len(rows), inner, weights.ctypes.data, columns, out.ctypes.data
        )
        return out


def check_floats(array: NDArray[np.generic], size: tuple[int, ...]) -> None:
    if array.dtype != np.float32 or not array.flags.c_contiguous or array.shape != size:
        raise ValueError(f"an array is {array.dtype} {array.shape}, not float32 {size} row by row")
