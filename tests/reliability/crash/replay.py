"""A crash of the machine between any two calls: what was not synced is lost, in three ways."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from tests.reliability.crash.shim import Call, read_log
from tests.reliability.crash.subject import about, require
from tests.reliability.crash.workers import Workers

SHARED_MEMORY = "-shm"  # of SQLite: written without calls, and made anew where nobody has it open


class Loss(StrEnum):
    DATA = "names are kept, and no data that was not synced"
    NAMES = "neither data nor names that were not synced"
    TAIL = "all is kept but half of the last write"


@dataclass(slots=True)
class File:
    now: bytearray = field(default_factory=bytearray)
    synced: bytes = b""


@dataclass(slots=True)
class Disk:
    """Files by their names, as processes see them and as each folder was last synced."""

    root: str
    names: dict[str, File] = field(default_factory=dict)
    synced: dict[str, File] = field(default_factory=dict)
    tail: tuple[File, int, int] | None = None  # the last write, if nothing was synced since

    def load(self, folder: Path) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                name = f"{self.root}/{path.relative_to(folder)}"
                self.names[name] = File(bytearray(content), content)
        self.synced = dict(self.names)

    def apply(self, call: Call) -> None:
        match call.kind:
            case "C":
                self.names[call.path] = File()
            case "W":
                self._write(self.names[call.path], call)
            case "T":
                content = self.names[call.path].now
                content[:] = content[: call.number].ljust(call.number, b"\0")
            case "S":
                self._sync(call.path)
            case "R":
                self._rename(call.path, call.data.decode())
            case "U":
                self.names.pop(call.path, None)

    def _write(self, file: File, call: Call) -> None:
        end = call.number + len(call.data)
        if len(file.now) < end:
            file.now.extend(bytes(end - len(file.now)))
        file.now[call.number : end] = call.data
        self.tail = (file, call.number + len(call.data) // 2, end)

    def _sync(self, path: str) -> None:
        if path not in self.names:
            self._sync_folder(path)
            return
        file = self.names[path]
        file.synced = bytes(file.now)
        if self.tail and self.tail[0] is file:
            self.tail = None

    def _sync_folder(self, path: str) -> None:
        """Its own names; and what lies below a folder that was renamed in it moves along."""
        places = {id(file): name for name, file in self.synced.items()}
        for name in [name for name in self.synced if name.rpartition("/")[0] == path]:
            if name not in self.names:
                del self.synced[name]
        for name, file in self.names.items():
            if name.rpartition("/")[0] == path:
                self.synced[name] = file
            elif name.startswith(f"{path}/") and id(file) in places:
                self.synced.pop(places[id(file)], None)
                self.synced[name] = file

    def _rename(self, path: str, target: str) -> None:
        for name in [name for name in self.names if name == path or name.startswith(f"{path}/")]:
            self.names[target + name.removeprefix(path)] = self.names.pop(name)

    def after(self, loss: Loss) -> dict[str, bytes]:
        names = self.synced if loss is Loss.NAMES else self.names
        if loss is not Loss.TAIL:
            return {name: file.synced for name, file in names.items()}
        return {name: self._cut(file) for name, file in names.items()}

    def _cut(self, file: File) -> bytes:
        if self.tail is None or self.tail[0] is not file or self.tail[2] < len(file.now):
            return bytes(file.now)
        return bytes(file.now[: self.tail[1]])


def crashes(workers: Workers, subject: str, stride: int = 1) -> Iterator[int]:
    """Each call after which the machine was stopped, once all three ways were tried."""
    root = workers.prepared(subject)
    before = root.with_name("replayed from")
    shutil.rmtree(before, ignore_errors=True)
    shutil.copytree(root, before)
    workers.work(subject, root, record=True)
    calls = list(read_log(workers.log))
    disk = Disk(str(root))
    disk.load(before)
    done = 0
    for number, call in enumerate(calls):
        if call.kind == "M":
            done = call.number
            continue
        disk.apply(call)
        if number % stride == 0:
            stop(workers, subject, disk, done, describe(calls, number))
            yield number


def stop(workers: Workers, subject: str, disk: Disk, done: int, where: str) -> None:
    root = Path(disk.root)
    for loss in Loss:
        shutil.rmtree(root)
        for folder in ("", "notes"):
            (root / folder).mkdir(exist_ok=True)
        for name, content in disk.after(loss).items():
            if not name.endswith(SHARED_MEMORY):
                Path(name).parent.mkdir(parents=True, exist_ok=True)
                Path(name).write_bytes(content)
        with about(f"{subject}, stopped after {where}, {loss}"):
            lost = workers.check(subject, root, done)
            require(lost <= 1, f"{lost} of {done} promised steps are lost")


def describe(calls: Sequence[Call], number: int) -> str:
    call = calls[number]
    return f"call {number} ({call.kind} {call.path.rpartition('/')[2]})"
