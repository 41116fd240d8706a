"""What a backend is: a library that runs models. No library is imported here.

A backend is a folder beside this file that exports one constant, `BACKEND`, and holds every line
that knows its library. Importing the folder must stay cheap: a method imports the library when it
runs, so that a model which one library runs starts without the others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from app.engines import Engine, Pair
from app.engines.lower_states import StateCache

if TYPE_CHECKING:
    from app.engines.graphs import Graphs
    from app.engines.layout import Arrays, Layout
    from app.engines.spec import ModelSpec
    from app.engines.torch.model import TorchModel


MAX_REASON_CHARS = 300


@dataclass(frozen=True, slots=True)
class Choice:
    """How a converted model is run."""

    dtype: str
    slice_tokens: int
    streams: int
    threads: int
    # For what lower layers make of queries and documents; 0: nothing is kept.
    state_bytes: int = 0
    state_seconds: float = 0.0

    def state_cache(self) -> StateCache:
        return StateCache(self.state_bytes, self.state_seconds, self.dtype)


class Backend(Protocol):
    @property
    def name(self) -> str:
        """As in the setting `engine`."""
        ...

    @property
    def all_dtypes(self) -> Sequence[str]:
        """Those of any processor or device."""
        ...

    @property
    def packages(self) -> Sequence[str]:
        """What is installed for it: a model is converted again when one has another version."""
        ...

    def dtypes(self) -> Sequence[str]:
        """Those that the benchmark tries on this processor."""
        ...

    def refuses(self, spec: ModelSpec) -> str | None:
        """Why it cannot run this model here. Called at each start: imports no library."""
        ...


class Reference(Backend, Protocol):
    """Runs a model as it was published, on any device. All others are compared with it."""

    def load(self, spec: ModelSpec) -> TorchModel: ...


@runtime_checkable
class Converter(Backend, Protocol):
    """Converts the reference's model into files of its own, and runs them on the CPU."""

    def convert(self, model: TorchModel, examples: Sequence[Pair], folder: Path) -> None:
        """Write the files for all dtypes, those of other processors too, into an empty folder.

        The model is this backend's own, and may be changed. An OSError means that the folder
        cannot be written; any other error, that the backend cannot convert this model.
        """
        ...

    def files(self, dtype: str) -> Sequence[str]:
        """Names of the files that a dtype may need; without the first one it cannot be opened.

        Those that exist are verified before `open`.
        """
        ...

    def open(self, folder: Path, layout: Layout, choice: Choice) -> Engine:
        """Raises RuntimeError or MemoryError when the library cannot open the files."""
        ...


@runtime_checkable
class Adapter(Converter, Protocol):
    """Also makes its files from what a model with graphs comes with, without the reference."""

    def readable(self, folder: Path) -> Graphs | None:
        """What it reads, in full precision."""
        ...

    def adapt(
        self, graphs: Graphs, examples: Arrays, folder: Path, dtypes: Collection[str]
    ) -> None:
        """As `convert`, for these dtypes, from what is readable."""
        ...


@runtime_checkable
class GraphReader(Adapter, Protocol):
    """Also runs graphs that a model comes with."""

    def publishable(self) -> Mapping[str, Sequence[str]]:
        """By dtype, the files in a model's folder that this processor can run, the best first."""
        ...

    def open_graphs(self, graphs: Graphs, layout: Layout, choice: Choice) -> Engine:
        """Raises RuntimeError or MemoryError when the library cannot open them."""
        ...


def reason_of(error: BaseException) -> str:
    """A library's text as the end of a sentence: on one line, and not too long."""
    return " ".join(str(error).split())[:MAX_REASON_CHARS]
