"""What writes files here: feedback, the budget, a fitted curve, folders of models."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from app.answer.citations import Citation
from app.answer.feedback import Feedback, FeedbackLost, Verdict
from app.answer.question import Question
from app.answer.result import Answer, Selection, Source
from app.engines.converted_model import written_aside
from app.errors import LoadFailed
from app.evaluation.data.sources import read_judged
from app.evaluation.problems import BadInput
from app.evaluation.writing import new_folder, write_json
from app.llm.budget import Budget
from app.retrieval.store import Candidate
from tests.reliability.crash.ingesting import Ingest
from tests.reliability.crash.shim import Mode
from tests.reliability.crash.subject import Done, Subject, Torn

LIMIT = 10**9
HELD, SPENT = 10, 7


class FeedbackRows:
    """A step is a verdict on an answer of its own."""

    opens: Callable[[Path, Callable[[], float]], Any] = staticmethod(
        partial(Feedback, max_bytes=2**30)
    )

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def prepare(self, root: Path) -> None:
        pass

    def forgives(self, mode: Mode) -> int:
        return 0

    def work(self, root: Path, done: Done) -> None:
        asyncio.run(self._take(root, self.steps, done))

    async def _take(self, root: Path, steps: int, done: Done) -> None:
        feedback = type(self).opens(root / "feedback.jsonl", lambda: 0.0)
        promised = 0
        for _ in range(steps):
            name = uuid4().hex
            feedback.remember(name, answer(f"question {name}"))
            with suppress(FeedbackLost):
                await feedback.take(name, Verdict("up"))
                promised += 1
                done(promised)

    def check(self, root: Path, done: int) -> int:
        """The service starts again and takes one more row; then `rerankd eval` reads them all."""
        try:
            asyncio.run(self._take(root, 1, lambda _: None))
            rows = len(read_judged(root / "feedback.jsonl").queries)
        except (BadInput, LoadFailed) as error:
            raise Torn(f"the feedback cannot be read: {error}") from error
        return max(0, done + 1 - rows)


def answer(question: str) -> Answer:
    candidates = [Candidate("a", "A book is lent for four weeks. " * 40), Candidate("b", "A film.")]
    selection = Selection([Source(candidates[0], 1, 0.9, 1)], candidates)
    return Answer(
        Question(question), selection, "answered", "Four weeks [1].", [Citation(0, 10, [1])]
    )


class BudgetFile:
    """A step is a call to a language model."""

    opens: Callable[[int, Path], Any] = Budget

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def prepare(self, root: Path) -> None:
        pass

    def forgives(self, mode: Mode) -> int:
        """What cannot be written is logged, and written with the next call that can be."""
        return self.steps if mode is Mode.FULL else 1

    def work(self, root: Path, done: Done) -> None:
        asyncio.run(self._spend(root, done))

    async def _spend(self, root: Path, done: Done) -> None:
        budget = type(self).opens(LIMIT, root / "budget.json")
        for step in range(self.steps):
            hold = await result(budget.hold(HELD))
            await result(budget.settle(HELD if hold is None else hold, SPENT))
            done(step + 1)

    def check(self, root: Path, done: int) -> int:
        try:
            spent: int = LIMIT - type(self).opens(LIMIT, root / "budget.json").left
        except LoadFailed as error:
            raise Torn(f"the budget cannot be read: {error}") from error
        if spent >= LIMIT:
            raise Torn("the budget's file has lost its content")
        return max(0, done - spent // SPENT)


async def result(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


class JsonFile:
    """A step is a file that takes the place of the one before."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def prepare(self, root: Path) -> None:
        write_json(root / "fit.json", self._content(0))

    def forgives(self, mode: Mode) -> int:
        return 0

    def _content(self, step: int) -> dict[str, Any]:
        return {"step": step, "curve": [step] * 2_000}

    def work(self, root: Path, done: Done) -> None:
        promised = 0
        for step in range(1, self.steps + 1):
            with suppress(BadInput):
                write_json(root / "fit.json", self._content(step))
                promised += 1
                done(promised)

    def check(self, root: Path, done: int) -> int:
        try:
            content = json.loads((root / "fit.json").read_bytes())
        except (OSError, ValueError) as error:
            raise Torn(f"the file cannot be read: {error}") from error
        if content != self._content(content["step"]):
            raise Torn("the file is not what was written")
        return max(0, done - int(content["step"]))


class ModelFolder:
    """A step is a folder that takes the place of the one before: a model that was converted, where
    one that is gone or damaged is noticed and made anew, or one that was trained, which must be
    there for good.
    """

    def __init__(self, steps: int, *, trained: bool) -> None:
        self.steps = steps
        self.trained = trained

    def prepare(self, root: Path) -> None:
        pass

    def forgives(self, mode: Mode) -> int:
        return 0

    def work(self, root: Path, done: Done) -> None:
        promised = 0
        for step in range(1, self.steps + 1):
            with suppress(BadInput, OSError):
                target = root / (f"model-{step}" if self.trained else "model")
                if self.trained and target.exists():
                    continue
                with new_folder(target) if self.trained else written_aside(target) as aside:
                    self._fill(aside, step)
                promised += 1
                done(promised)

    def _fill(self, folder: Path, step: int) -> None:
        weights = bytes([step]) * 20_000
        (folder / "model.safetensors").write_bytes(weights)
        (folder / "config.json").write_text(json.dumps({"step": step}))
        (folder / "sum").write_text(hashlib.sha256(weights).hexdigest())

    def check(self, root: Path, done: int) -> int:
        folders = [folder for folder in root.iterdir() if folder.name.startswith("model")]
        whole = [self._step(folder) for folder in folders if not folder.name.endswith(".part")]
        if self.trained:
            return max(0, done - len(whole))
        return max(0, done - whole[0]) if whole else 0

    def _step(self, folder: Path) -> int:
        try:
            weights = (folder / "model.safetensors").read_bytes()
            step: int = json.loads((folder / "config.json").read_text())["step"]
            if hashlib.sha256(weights).hexdigest() != (folder / "sum").read_text():
                raise Torn(f"{folder.name} has other weights than were written")
        except (OSError, ValueError) as error:
            raise Torn(f"{folder.name} cannot be read: {error}") from error
        return step


def subjects(steps: int) -> dict[str, Subject]:
    return {
        "ingest": Ingest(files=max(4, steps // 5), lines=max(24, steps)),
        "feedback": FeedbackRows(steps),
        "budget": BudgetFile(steps),
        "fit": JsonFile(steps),
        "converted": ModelFolder(min(steps, 40), trained=False),
        "trained": ModelFolder(min(steps, 40), trained=True),
    }


FORKED = list(subjects(1))
SUBJECTS = subjects(8) | {f"long {name}": subject for name, subject in subjects(150).items()}
