"""Compiles the library of the engine `native` into the wheel, if there is a C compiler.

Without a compiler the wheel is for all platforms, and the service runs with the other engines. An
editable installation gets the library beside its source.
"""

from __future__ import annotations

import platform
import runpy
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Of the C library it needs nothing newer.
OLDEST_GLIBC = "manylinux_2_17"


class NativeLibrary(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        script = Path(self.root) / "app" / "engines" / "native" / "build.py"
        # By path: the package itself cannot be imported without its dependencies.
        files = runpy.run_path(str(script))["build"]()
        if files:
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{platform_tag()}"
            build_data["artifacts"] += [file.relative_to(self.root).as_posix() for file in files]


def platform_tag() -> str:
    tag = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    return tag.replace("linux", OLDEST_GLIBC) if platform.libc_ver()[0] == "glibc" else tag
