"""The reference: sentence-transformers' own model, run by torch on any device."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from app.errors import INSTALL_TORCH, PackageMissing

if TYPE_CHECKING:
    from app.engines.spec import ModelSpec
    from app.engines.torch.model import TorchModel

# Read once, when torch is loaded: threads that wait for each other then sleep and do not spin.
# Spinning makes a batch several times slower as soon as anything else wants the same processors.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


# The name of a package, and of its module.
MODULES = {
    "torch": "torch",
    "transformers": "transformers",
    "sentence-transformers": "sentence_transformers",
}


class Torch:
    name = "torch"
    all_dtypes = ("float32", "bfloat16", "float16")
    packages = tuple(MODULES)

    def dtypes(self) -> Sequence[str]:
        from app.engines.torch.engine import can_bfloat16  # noqa: PLC0415 (takes seconds)

        return ("float32", "bfloat16") if can_bfloat16() else ("float32",)

    def refuses(self, spec: ModelSpec) -> str | None:  # noqa: ARG002
        """A model that it cannot run, nothing else can: loading then says why."""
        missing = [package for package, module in MODULES.items() if find_spec(module) is None]
        if not missing:
            return None
        return f"the package {missing[0]} is not installed ({INSTALL_TORCH})"

    def load(self, spec: ModelSpec) -> TorchModel:
        if reason := self.refuses(spec):
            raise PackageMissing(f"engine {self.name} cannot run {spec.label}: {reason}")
        from app.engines.torch.reference import load_reference  # noqa: PLC0415 (takes seconds)

        return load_reference(spec)


BACKEND = Torch()
