"""Compiles the preloaded library, and speaks to it from within the process that has it."""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from errno import ENOSPC
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("shim.c")
HEAD = struct.Struct("=cqII")  # with the padding that C leaves out: kind, number, two lengths


class NoCompiler(Exception):
    """There is no gcc here."""


class Mode(IntEnum):
    """What becomes of the n-th call."""

    ONCE = 0  # it fails
    SHORT = 1  # it writes half, and the next write fails
    FULL = 2  # it and every later write fail: the disk stays full


@dataclass(frozen=True, slots=True)
class Fault:
    at: int = 0  # 0: never
    error: int = ENOSPC
    mode: Mode = Mode.ONCE


class Call(NamedTuple):
    """One that changed something: C(reate), T(runcate), W(rite), S(ync), R(ename), U(nlink),
    D(irectory made), or M: the process has promised so many steps.
    """

    kind: str
    number: int
    path: str
    data: bytes


def compiled(folder: Path) -> Path:
    compiler = shutil.which("gcc")
    if compiler is None:
        raise NoCompiler("gcc is not installed")
    library = folder / "shim.so"
    subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl", "-lpthread"],
        check=True,
    )
    return library


def arm(root: Path, fault: Fault, log: Path | None) -> None:
    """From here on calls below `root` are counted, recorded, and the n-th fails."""
    loaded = ctypes.CDLL(None)
    words = (os.fsencode(root), fault.at, fault.error, int(fault.mode))
    loaded.crash_arm(*words, os.fsencode(log) if log else b"")


def mark(done: int) -> None:
    ctypes.CDLL(None).crash_mark(done)


def count() -> int:
    calls: int = ctypes.CDLL(None).crash_count()
    return calls


def is_loaded() -> bool:
    return hasattr(ctypes.CDLL(None), "crash_arm")


def read_log(log: Path) -> Iterator[Call]:
    content = log.read_bytes()
    start = 0
    while start < len(content):
        kind, number, path, data = HEAD.unpack_from(content, start)
        start += HEAD.size
        yield Call(
            kind.decode(),
            number,
            os.fsdecode(content[start : start + path]),
            content[start + path : start + path + data],
        )
        start += path + data
