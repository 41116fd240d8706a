"""Forces the process to exit when a thread hangs during shutdown."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

logger = logging.getLogger(__name__)

# EX_SOFTWARE in sysexits.h.
EXIT_FORCED = 70
LOG_SECONDS = 1.0


class ExitLimit:
    """Ends the process when the time limit passes, even if other threads still run."""

    def __init__(self, end: Callable[[int], object] = os._exit) -> None:
        self._end = end
        self._timer: threading.Timer | None = None

    def start(self, seconds: float) -> None:
        """Start the timer. A later call replaces it."""
        self.cancel()
        self._timer = threading.Timer(seconds, self._force, [seconds])
        self._timer.daemon = True
        self._timer.start()

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _force(self, seconds: float) -> None:
        try:  # a separate thread, because the hanging thread may hold the lock of the log
            with suppress(RuntimeError):  # no thread can start while the interpreter exits
                writer = threading.Thread(target=write_log, args=[seconds], daemon=True)
                writer.start()
                writer.join(LOG_SECONDS)
        finally:
            self._end(EXIT_FORCED)


def write_log(seconds: float) -> None:
    fields = {"after_seconds": seconds, "exit_code": EXIT_FORCED, "threads": running_threads()}
    logger.critical("exit_forced", extra={"fields": fields})
    for handler in logging.getLogger().handlers:
        handler.flush()


def running_threads() -> list[str]:
    """The current position of each other thread, to show which one hangs."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return [
        f"{names.get(ident, ident)}: {frame.f_code.co_filename}:{frame.f_lineno} "
        f"in {frame.f_code.co_name}"
        for ident, frame in sys._current_frames().items()
        if ident != threading.get_ident()
    ]
