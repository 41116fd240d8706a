"""A process with all imports done and the shim preloaded: it forks one worker for each order.

A line of standard input is an order; a line of standard output says how the worker ended.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import struct
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

from app.errors import ServiceError
from app.evaluation.problems import BadInput
from tests.reliability.crash import shim
from tests.reliability.crash.mutants import MUTANTS
from tests.reliability.crash.subject import Torn
from tests.reliability.crash.subjects import SUBJECTS

DONE = struct.Struct("=qq")  # steps promised (after a check: lost), calls counted
WHOLE, BROKEN, SAID, TORN = 0, 1, 3, 4  # exit codes; BROKEN is whatever nobody foresaw


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        worker = os.fork()
        if worker == 0:
            carry_out(order)
        if order["kill_after"] is not None:
            time.sleep(order["kill_after"])
            os.kill(worker, signal.SIGKILL)
        _, status = os.waitpid(worker, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def carry_out(order: dict[str, Any]) -> NoReturn:
    aside = Path(order["aside"])
    code, text = BROKEN, ""
    with (aside / "done").open("r+b") as file:
        shared = mmap.mmap(file.fileno(), DONE.size)  # what is written here survives a kill
    try:
        if order["mutant"]:
            MUTANTS[order["mutant"]].apply()
        (check if order["check"] else work)(order, shared)
        code = WHOLE
    except Torn as error:
        code, text = TORN, str(error)
    except (ServiceError, BadInput) as error:
        code, text = SAID, str(error)
    except BaseException:  # noqa: BLE001 (whatever it is, it is told)
        text = traceback.format_exc()
    if shim.is_loaded():
        shared[:] = DONE.pack(DONE.unpack(shared[:])[0], shim.count())
    (aside / "told").write_text(text)
    os._exit(code)


def work(order: dict[str, Any], shared: mmap.mmap) -> None:
    root, aside = Path(order["root"]), Path(order["aside"])

    def done(steps: int) -> None:
        shared[:] = DONE.pack(steps, 0)
        if shim.is_loaded():
            shim.mark(steps)

    if shim.is_loaded():
        shim.arm(root, shim.Fault(*order["fault"]), aside / "log" if order["record"] else None)
    SUBJECTS[order["subject"]].work(root, done)


def check(order: dict[str, Any], shared: mmap.mmap) -> None:
    lost = SUBJECTS[order["subject"]].check(Path(order["root"]), order["done"])
    shared[:] = DONE.pack(lost, 0)


if __name__ == "__main__":
    main()
