"""Compiles the library of the engine `native` into the wheel, if there is a C compiler.

Without a compiler the wheel is for all platforms, and the service runs with the other engines. An
editable installation gets the library beside its source.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeLibrary(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        script = Path(self.root) / "app" / "engines" / "native" / "build.py"
        # By path: the package itself cannot be imported without its dependencies.
        library = runpy.run_path(str(script))
        files = library["build"]()
        if files:
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{library['platform_tag']()}"
            build_data["artifacts"] += [file.relative_to(self.root).as_posix() for file in files]
