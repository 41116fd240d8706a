"""Structured logs: one event per line, as JSON for machines or in columns for people."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

from pydantic_core import to_json

from app.log_queue import QueuedHandler

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
CHATTY = ("httpx", "httpcore", "sentence_transformers", "transformers", "urllib3", "uvicorn.access")


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **fields_of(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return to_json(line).decode()


class ConsoleFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%H:%M:%S", time.localtime(record.created))
        fields = " ".join(f"{name}={value}" for name, value in fields_of(record).items())
        line = f"{stamp} {record.levelname.lower():7} {record.getMessage()} {fields}".rstrip()
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def configure(level: str, style: str, *, queued: bool = False) -> None:
    """Send all logs, including those of libraries, to standard error in one format.

    A service sets `queued`, so that its event loop never waits for the reader of standard error.
    """
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    handler = QueuedHandler() if queued else logging.StreamHandler()
    logging.captureWarnings(queued)
    handler.setFormatter(ConsoleFormatter() if console else JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(LEVELS[level])
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, LEVELS[level]))
