"""Which model is loaded, and how it runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter
from pydantic_core import to_json

from app.engines.backends import AUTO, REFERENCE
from app.errors import LoadFailed

BUNDLED = "bundled"
BUNDLED_FOLDER = Path(__file__).resolve().parents[1] / "models" / "rerankd-minilm"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    name: str = BUNDLED
    shown_as: str = ""
    revision: str = ""
    device: str = "auto"
    engine: str = REFERENCE.name
    dtype: str = AUTO
    max_length: int = 0
    threads: int = 0
    offline: bool = False
    trust_remote_code: bool = False
    # Where converted models are kept; None: nowhere.
    engines: Path | None = None
    # For what lower layers make of queries and documents; 0: nothing is kept.
    state_bytes: int = 0
    state_seconds: float = 0.0
    # Nobody may infer from a fast response what a caller with another key has sent.
    callers_apart: bool = False

    def to_json(self) -> str:
        return to_json(asdict(self)).decode()

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        return TypeAdapter(cls).validate_json(text)

    @property
    def source(self) -> str:
        return str(BUNDLED_FOLDER) if self.name == BUNDLED else self.name

    @property
    def label(self) -> str:
        """What callers are shown: never a path of this machine."""
        if self.shown_as:
            return self.shown_as
        return Path(self.source).resolve().name if self.is_folder else self.name

    @property
    def is_folder(self) -> bool:
        return Path(self.source).is_dir()

    def refuse_missing_folder(self) -> None:
        """Before a library is imported, which takes seconds."""
        is_path = self.name == BUNDLED or self.source.startswith(("/", "./", "../"))
        if is_path and not self.is_folder:
            raise LoadFailed(f"model folder {self.source} does not exist")
