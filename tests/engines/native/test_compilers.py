"""The library as other compilers make it, for other processors, and under sanitizers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from app.engines import processors
from app.engines.native import build
from app.engines.native.library import Library
from tests.engines.native.harness import Harness, Work, compiled, works
from tests.engines.native.layers import halves, random_layers
from tests.engines.native.test_library import encoded

RUNNABLE = {
    name: flags for name, flags in build.FLAGS_BY_ABILITY.items() if name in processors.abilities()
}
ARM_COMPILER = "aarch64-linux-gnu-gcc"
# The first processor for servers with products of bytes.
EMULATOR = ("qemu-aarch64", "-cpu", "neoverse-n1")
# With optimizations the compiler takes a minute for them.
SANITIZERS = ("-O0", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover")


@dataclass(frozen=True)
class Target:
    """`programs`: the compiler, and what else it takes to make and run the harness."""

    name: str
    kind: str
    programs: tuple[str, ...]
    flags: tuple[str, ...]
    emulator: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name}-{self.kind}"

    @property
    def missing(self) -> list[str]:
        return [program for program in self.programs if shutil.which(program) is None]


def targets() -> Iterator[Target]:
    # All memory stays in use until the program ends.
    environment = {"ASAN_OPTIONS": "detect_leaks=0"}
    for kind, flags in RUNNABLE.items():
        yield Target("clang", kind, ("clang",), flags)
        yield Target("sanitizers", kind, ("gcc",), (*flags, *SANITIZERS), environment=environment)
    for kind, flags in build.ARM.items():
        programs = (ARM_COMPILER, EMULATOR[0])
        yield Target("gcc", kind, programs, (*flags, "-static"), EMULATOR)
        # It links with the C library of the other compiler.
        crossing = (*flags, "-static", "--target=aarch64-linux-gnu")
        yield Target("clang", kind, ("clang", *programs), crossing, EMULATOR)


@pytest.fixture(scope="module", params=list(targets()), ids=str)
def target(request: pytest.FixtureRequest) -> Target:
    target: Target = request.param
    if target.missing:
        pytest.skip(f"needs {' and '.join(target.missing)}")
    return target


@pytest.fixture(scope="module")
def harness(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Harness:
    program = tmp_path_factory.mktemp(target.name) / "harness"
    compiled(target.programs[0], target.flags, program)
    return Harness(program, target.emulator, target.environment)


@pytest.mark.parametrize("work", list(works()), ids=str)
def test_results_are_those_of_numpy(harness: Harness, target: Target, work: Work) -> None:
    work.check(harness, target.kind)


@pytest.mark.parametrize(("compiler", "flag"), [("cc", "-O0"), ("clang", "-O3")])
def test_every_compiler_gives_the_same_bits_with_or_without_optimization(
    compiler: str, flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise two machines, or two copies of one function, would score a pair differently."""
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler}")
    monkeypatch.setenv("CC", compiler)
    files = {file.name: file for file in build.build(tmp_path, (flag,))}
    layers, lengths = random_layers(128, 4, 256), [7, 61, 1, 130, 18]
    states = np.random.default_rng(1).standard_normal((sum(lengths), 128)).astype(np.float32)
    for kind in RUNNABLE:
        other = Library(files[build.library_file(kind).name])
        theirs = encoded(layers.encoder(kind, other), states, lengths, halves(lengths))
        ours = encoded(layers.encoder(kind), states, lengths, halves(lengths))
        assert np.array_equal(ours, theirs), kind
