"""Orders for the zygote, and how each worker ended."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from tests.reliability.crash import zygote
from tests.reliability.crash.shim import Fault
from tests.reliability.crash.subject import Torn
from tests.reliability.crash.subjects import SUBJECTS

NO_FAULT = Fault()
HANG_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Outcome:
    code: int
    done: int  # steps that were promised
    calls: int  # that change files
    text: str  # the sentence with which it gave up

    @property
    def killed(self) -> bool:
        return self.code < 0


class Workers:
    """With a mutant, each worker has its fault, at work and at the check."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._aside = folder / "aside"
        self._aside.mkdir(parents=True)
        self.mutant = ""
        self.log = self._aside / "log"

    def prepared(self, subject: str) -> Path:
        """A new folder with what is there before; made once, and copied."""
        original, root = self._folder / f"{subject} before", self._folder / "root"
        shutil.rmtree(root, ignore_errors=True)
        if not original.exists():
            root.mkdir()
            SUBJECTS[subject].prepare(root)
            root.rename(original)
        shutil.copytree(original, root)
        return root

    def work(
        self,
        subject: str,
        root: Path,
        *,
        fault: Fault = NO_FAULT,
        kill_after: float | None = None,
        record: bool = False,
    ) -> Outcome:
        order = {"fault": astuple(fault), "kill_after": kill_after, "record": record}
        outcome = self._order(subject, root, check=False, **order)
        if outcome.code not in (zygote.WHOLE, zygote.SAID) and kill_after is None:
            raise Torn(f"it ended with {outcome.code} and no sentence: {outcome.text}")
        return outcome

    def check(self, subject: str, root: Path, done: int) -> int:
        """How many of the promised steps are lost."""
        outcome = self._order(subject, root, check=True, done=done, kill_after=None)
        if outcome.code != zygote.WHOLE:
            raise Torn(outcome.text or f"the check ended with {outcome.code}")
        return outcome.done

    def _order(self, subject: str, root: Path, **more: Any) -> Outcome:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        (self._aside / "done").write_bytes(zygote.DONE.pack(0, 0))
        (self._aside / "told").write_text("")
        paths = {"root": str(root), "aside": str(self._aside)}
        order = {"subject": subject, "mutant": self.mutant, **paths, **more}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], HANG_SECONDS)[0]:
            raise Torn(f"it does not end within {HANG_SECONDS} s")
        code = int(self._process.stdout.readline())
        done, calls = zygote.DONE.unpack((self._aside / "done").read_bytes())
        return Outcome(code, done, calls, (self._aside / "told").read_text())


@contextmanager
def workers(folder: Path, library: Path | None) -> Iterator[Workers]:
    """Without the library, calls are neither counted nor failed; processes can be killed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if library is not None:
        environment["LD_PRELOAD"] = str(library)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.reliability.crash.zygote"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Workers(process, folder)
    finally:
        process.kill()
        process.communicate()
