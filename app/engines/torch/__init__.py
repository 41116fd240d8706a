"""The reference: sentence-transformers' own model, run by torch on any device."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.engines.spec import ModelSpec
    from app.engines.torch.model import TorchModel

# Read once, when torch is loaded: threads that wait for each other then sleep and do not spin.
# Spinning makes a batch several times slower as soon as anything else wants the same processors.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class Torch:
    name = "torch"
    all_dtypes = ("float32", "bfloat16", "float16")
    packages = ("torch", "transformers", "sentence-transformers")

    def dtypes(self) -> Sequence[str]:
        from app.engines.torch.engine import can_bfloat16  # noqa: PLC0415 (takes seconds)

        return ("float32", "bfloat16") if can_bfloat16() else ("float32",)

    def refuses(self, spec: ModelSpec) -> None:
        """What it cannot run, nothing else can: loading then says why."""

    def load(self, spec: ModelSpec) -> TorchModel:
        from app.engines.torch.reference import load_reference  # noqa: PLC0415 (takes seconds)

        return load_reference(spec)


BACKEND = Torch()
