"""Mutations that may survive, and why.

A value that was chosen is as good as its neighbour: tests use the constant, not its figure.
"""

from __future__ import annotations

from collections.abc import Mapping

CHOSEN = "a value that was chosen"
UNUSED_DEFAULT = "it is used only with a deadline, and who states one states this too"
NOT_READ_YET = "another value is set before it is read, or nothing depends on it yet"
STILL_FRESH = "a second without work is as good as none: it has to be ten"

ACCEPTED: Mapping[str, Mapping[str, str]] = {
    "abandonment.py": {
        "HALF_LIFE_SECONDS = 5.0 => HALF_LIFE_SECONDS = 6.0": CHOSEN,
        "MIN_CALLS = 5.0 => MIN_CALLS = 6.0": CHOSEN,
        "self._observed = 0.0 => self._observed = 1.0": NOT_READ_YET,
    },
    "admission.py": {
        "FIRST_RETRY_SECONDS = 1.0 => FIRST_RETRY_SECONDS = 2.0": CHOSEN,
        "STALE_SECONDS = 10.0 => STALE_SECONDS = 11.0": CHOSEN,
        "idle: float = 0.0  # seconds since anything was under way => "
        "idle: float = 1.0  # seconds since anything was under way": STILL_FRESH,
    },
    "batcher.py": {
        "MIN_BATCH_TOKENS = 256 => MIN_BATCH_TOKENS = 257": CHOSEN,
        "HANGING_RETRY_SECONDS = 10.0 => HANGING_RETRY_SECONDS = 11.0": CHOSEN,
        "SHORT_BATCH_SECONDS = 0.2 => SHORT_BATCH_SECONDS = 1.2": CHOSEN,
        "at_least: int = 0, => at_least: int = 1,": UNUSED_DEFAULT,
        "priority: int = 0, => priority: int = 1,": UNUSED_DEFAULT,
        "idle = 0.0 if self._running else asyncio.get_running_loop().time() - self._last_ended => "
        "idle = 1.0 if self._running else asyncio.get_running_loop().time() - self._last_ended": (
            STILL_FRESH
        ),
        'return Draining("the service is shutting down", retry_after=1.0) => '
        'return Draining("the service is shutting down", retry_after=2.0)': CHOSEN,
    },
    "calls.py": {
        "HANGING_FACTOR = 20 => HANGING_FACTOR = 21": CHOSEN,
    },
    "pace.py": {
        "HALF_LIFE_SECONDS = 10.0 => HALF_LIFE_SECONDS = 11.0": CHOSEN,
        "MAX_BATCH_SECONDS = 2.0 => MAX_BATCH_SECONDS = 3.0": CHOSEN,
    },
    "scheduler.py": {
        "turn: float = field(init=False, default=0.0)  # in the order of the queue => "
        "turn: float = field(init=False, default=1.0)  # in the order of the queue": NOT_READ_YET,
    },
    "submission.py": {
        "JOBS_BETWEEN_PAUSES = 20 => JOBS_BETWEEN_PAUSES = 21": CHOSEN,
        "for count, job in enumerate(ended, 1): => for count, job in enumerate(ended, 2):": (
            "the first pause is one job earlier"
        ),
        "if count % JOBS_BETWEEN_PAUSES == 0: => if count % JOBS_BETWEEN_PAUSES == 1:": (
            "each pause is some jobs earlier"
        ),
        "for slot, logit in zip(batch, logits, strict=True): => "
        "for slot, logit in zip(batch, logits, strict=False):": (
            "their number was checked when the engine returned"
        ),
    },
    "tokenizing.py": {
        "FIRST_CHARS_PER_SECOND = 1e6 => FIRST_CHARS_PER_SECOND = 1000001.0": CHOSEN,
        "idle = 0.0 if self._running else asyncio.get_running_loop().time() - self._last_ended => "
        "idle = 1.0 if self._running else asyncio.get_running_loop().time() - self._last_ended": (
            STILL_FRESH
        ),
        "refusal = Draining(CLOSED, retry_after=1.0) => "
        "refusal = Draining(CLOSED, retry_after=2.0)": CHOSEN,
        "refusal.__cause__ = cause => pass": "only a log shows it",
    },
    "turns.py": {
        "PORTION_CHARS = 65_536 => PORTION_CHARS = 65537": CHOSEN,
    },
    "cache.py": {
        "digest = blake2b(digest_size=16) => digest = blake2b(digest_size=17)": CHOSEN,
        'digest.update(len(raw).to_bytes(8, "little")) => '
        'digest.update(len(raw).to_bytes(9, "little"))': CHOSEN,
        "ENTRY_BYTES = 400 => ENTRY_BYTES = 401": CHOSEN,
    },
}
