"""The n-th call that changes a file fails, for n = 1, 2, 3 … until a run passes untouched."""

from __future__ import annotations

from collections.abc import Iterator
from errno import EIO, ENOSPC
from itertools import count

from tests.reliability.crash.shim import Fault, Mode
from tests.reliability.crash.subject import about, require
from tests.reliability.crash.subjects import SUBJECTS
from tests.reliability.crash.workers import Workers

ERRORS = {Mode.ONCE: EIO, Mode.SHORT: ENOSPC, Mode.FULL: ENOSPC}


def each_fault(workers: Workers, subject: str, mode: Mode, stride: int = 1) -> Iterator[int]:
    """The number of each call that was failed."""
    for at in count(1, stride):
        if not fail(workers, subject, Fault(at, ERRORS[mode], mode)):
            return
        yield at


def fail(workers: Workers, subject: str, fault: Fault) -> bool:
    """False where there is no such call any more. Afterwards all is well, and work goes on."""
    root = workers.prepared(subject)
    with about(f"{subject}, call {fault.at} ({fault.mode.name})"):
        outcome = workers.work(subject, root, fault=fault)
        if outcome.calls < fault.at:
            return False
        lost = workers.check(subject, root, outcome.done)
        forgiven = SUBJECTS[subject].forgives(fault.mode)
        require(lost <= forgiven, f"{lost} of {outcome.done} promised steps are lost")
        again = workers.work(subject, root)
        require(not again.text, f"it does not go on: {again.text}")
        lost = workers.check(subject, root, again.done)
        require(not lost, f"{lost} steps of a run without a fault are lost")
    return True
