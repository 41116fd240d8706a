"""How much is measured: all of it on a GPU, a miniature in a rehearsal on a CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.engines.spec import BUNDLED, ModelSpec
from loadtest.workload import KINDS, Kind, Request, Texts


@dataclass(frozen=True, slots=True)
class Plan:
    device: str
    small: bool

    def flags(self) -> list[str]:
        return ["--device", self.device, *(["--small"] if self.small else [])]

    def spec(self, name: str = BUNDLED, **settings: Any) -> ModelSpec:
        return ModelSpec(name, device=self.device, engine="torch", **settings)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Those that may serve; a CPU is too slow in half precision to rehearse with it."""
        return ("float32",) if self.small else ("bfloat16", "float16")

    @property
    def kinds(self) -> tuple[Kind, ...]:
        return KINDS[:1] if self.small else KINDS

    def requests(self, kind: Kind, seed: int) -> list[Request]:
        texts = Texts(kind, seed)
        count, documents = (1, 4) if self.small else (32, 100)
        return [texts.request(documents) for _ in range(count)]
