"""Compiles the library for each kind of processor: when the package is built, or by hand.

python app/engines/native/build.py

It needs nothing but a C compiler, GCC 11 or Clang 14 or later, on Linux with x86 or ARM or on
macOS with Apple's processors. Without one nothing is compiled, and the backend says so.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SOURCE = FOLDER / "source" / "encoder.c"
# What the compiler may assume, by what a processor can do: the best first.
VECTORS = ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mprefer-vector-width=512")
Flags = dict[str, tuple[str, ...]]
X86: Flags = {
    "avx512_vnni": (*VECTORS, "-mavx512vnni", "-mfma"),
    "avx_vnni": ("-mavx2", "-mfma", "-mavxvnni"),
    "avx2": ("-mavx2", "-mfma"),
}
ARM: Flags = {"asimddp": ("-march=armv8.2-a+dotprod",)}
# The first one for Apple's own processors.
OLDEST_MACOS = "11.0"
APPLE: Flags = {
    name: (*flags, f"-mmacosx-version-min={OLDEST_MACOS}") for name, flags in ARM.items()
}
FLAGS_BY_SYSTEM = {
    ("Linux", "x86_64"): X86,
    ("Linux", "aarch64"): ARM,
    ("Darwin", "arm64"): APPLE,
}
# On other systems the other backends serve.
FLAGS_BY_ABILITY = FLAGS_BY_SYSTEM.get((platform.system(), platform.machine()), {})
# Of the C library it needs nothing newer.
OLDEST_GLIBC = "manylinux_2_17"
# No product and sum become one operation unless the source says so: all compilers give one result.
FLAGS = ("-O3", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off")
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Werror")


def library_file(ability: str, folder: Path = FOLDER) -> Path:
    return folder / f"encoder-{ability}.so"


def compiler() -> str | None:
    """Where the library could run at all."""
    return shutil.which(os.environ.get("CC", "cc")) if FLAGS_BY_ABILITY else None


def build(folder: Path = FOLDER, more_flags: tuple[str, ...] = ()) -> list[Path]:
    """The libraries that could be compiled; a compiler may be too old for one of them."""
    command = compiler()
    if command is None:
        return []
    return [
        library_file(ability, folder)
        for ability, flags in FLAGS_BY_ABILITY.items()
        if compiled(command, (*FLAGS, *flags, *more_flags), library_file(ability, folder))
    ]


def compiled(command: str, flags: tuple[str, ...], target: Path) -> bool:
    """The file is replaced in one step: a process may have the old one open."""
    aside = target.with_suffix(".new")
    arguments = [command, *flags, "-shared", "-fPIC", str(SOURCE), "-o", str(aside), "-lm"]
    result = subprocess.run(arguments, capture_output=True, text=True, check=False)  # noqa: S603
    if result.returncode != 0:
        aside.unlink(missing_ok=True)
        sys.stderr.write(f"{target.name} is left out: {result.stderr[-2000:]}\n")
        return False
    aside.replace(target)
    return True


def platform_tag() -> str:
    """Of a wheel with the library. Python's own may name more processors or newer systems."""
    if platform.system() == "Darwin":
        return f"macosx_{OLDEST_MACOS.replace('.', '_')}_{platform.machine()}"
    tag = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    return tag.replace("linux", OLDEST_GLIBC) if platform.libc_ver()[0] == "glibc" else tag


if __name__ == "__main__":
    names = [file.name for file in build(more_flags=WARNINGS)]
    sys.stdout.write(f"{', '.join(names) or 'nothing'} compiled\n")
