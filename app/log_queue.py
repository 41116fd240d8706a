"""Writes log lines to standard error in a thread, so that no log call waits.

A pipe without a reader blocks its writer. In the event loop, this would block all requests.
"""

from __future__ import annotations

import logging
import os
import select
import sys
import threading

MAX_WAITING_BYTES = 4 * 2**20
FLUSH_SECONDS = 2.0
STANDARD_ERROR = 2


class QueuedHandler(logging.Handler):
    """Drops and counts lines above the limit; a later line reports how many were dropped."""

    def __init__(
        self, descriptor: int = STANDARD_ERROR, max_waiting_bytes: int = MAX_WAITING_BYTES
    ) -> None:
        super().__init__()
        self.dropped = 0
        self._descriptor = descriptor
        self._max_waiting_bytes = max_waiting_bytes
        self._lines: list[bytes] = []
        self._waiting_bytes = 0
        self._unreported = 0  # lines dropped since the last report
        self._writing = False
        self._blocked = False  # the last flush timed out
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 (a log call must never fail)
            self.handleError(record)
        else:
            self.put(line)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Overridden because the base class writes directly to standard error."""
        self.put(self._event("log_line_not_formatted", record.levelno, source=record.pathname))

    def put(self, line: str) -> None:
        data = line.encode(errors="backslashreplace") + b"\n"
        with self._changed:
            if self._waiting_bytes + len(data) > self._max_waiting_bytes:
                self.dropped += 1
                self._unreported += 1
                return
            self._lines.append(data)
            self._waiting_bytes += len(data)
            if not self._writing:
                self._changed.notify_all()

    def flush(self) -> None:
        """Wait until all lines are written, with a timeout. After a timeout, do not wait again: a
        blocked pipe must not delay the exit."""
        with self._changed:
            seconds = 0.0 if self._blocked else FLUSH_SECONDS
            self._blocked = not self._changed.wait_for(lambda: self._is_idle, seconds)

    @property
    def _is_idle(self) -> bool:
        return not (self._lines or self._unreported or self._writing)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: not self._is_idle)
                self._writing = True
                lines, self._lines, self._waiting_bytes = self._lines, [], 0
                dropped, self._unreported = self._unreported, 0
            if dropped:  # last, because these lines were queued before any was dropped
                notice = self._event("log_lines_dropped", logging.WARNING, lines=dropped)
                lines.append(notice.encode() + b"\n")
            for line in lines:
                self._write(line)

    def _event(self, name: str, level: int, **fields: object) -> str:
        record = logging.LogRecord(__name__, level, __file__, 0, name, (), None)
        record.fields = fields
        return self.format(record)

    def _write(self, line: bytes) -> None:
        rest = memoryview(line)
        try:
            while rest:
                try:
                    rest = rest[os.write(self._descriptor, rest) :]
                except BlockingIOError:  # another process has made the descriptor non-blocking
                    select.select([], [self._descriptor], [])
        except OSError:  # the reader has closed the pipe
            with self._changed:
                self.dropped += 1


def queued_handlers() -> list[QueuedHandler]:
    root = logging.getLogger()
    return [handler for handler in root.handlers if isinstance(handler, QueuedHandler)]


def dropped_lines() -> int:
    return sum(handler.dropped for handler in queued_handlers())


def print_last(line: str) -> None:
    """Print the last line of the process after its log, without waiting for a blocked pipe."""
    handlers = queued_handlers()
    for handler in handlers:
        handler.put(line)
        handler.flush()
    if not handlers:
        print(line, file=sys.stderr)  # noqa: T201 (output of a command)
