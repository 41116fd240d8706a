"""The states of the service, and the error that callers get in each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from app.errors import Draining, EngineFailed, Loading, Refused

StateName = Literal["starting", "ready", "failed", "leaving", "draining"]


class State(NamedTuple):
    name: StateName
    problem: str | None = None  # why it cannot serve; None if it is ready

    def refusal(self) -> Refused:
        return REFUSALS[self.name](self.problem or self.name)


REFUSALS: Mapping[StateName, Callable[[str], Refused]] = {
    "starting": lambda problem: Loading(problem, retry_after=1.0),
    "failed": EngineFailed,
    "leaving": lambda problem: Draining(problem, retry_after=1.0),
    "draining": lambda problem: Draining(problem, retry_after=1.0),
}
READY = State("ready")
STARTING = State("starting", "the model is loading")
LEAVING = State("leaving", "the service is shutting down; it still serves requests")
DRAINING = State("draining", "the service is shutting down")


def failed(problem: str) -> State:
    return State("failed", problem)
