"""Mutations that may survive, and why.

A value that was chosen is as good as its neighbour: tests use the constant, not its figure.
"""

from __future__ import annotations

from collections.abc import Mapping

CHOSEN = "a value that was chosen"
STILL_FRESH = "a second without work is as good as none: it has to be ten"

ACCEPTED: Mapping[str, Mapping[str, str]] = {
    "admission.py": {
        "FIRST_HINT = 1.0  # seconds to come back after, before the pace is known => "
        "FIRST_HINT = 2.0  # seconds to come back after, before the pace is known": CHOSEN,
        "STALE_SECONDS = 10.0  # without work, after which an estimate is tried and not trusted => "
        "STALE_SECONDS = 11.0  # without work, after which an estimate is tried and not trusted": (
            CHOSEN
        ),
        "idle: float = 0.0  # seconds since anything was under way => "
        "idle: float = 1.0  # seconds since anything was under way": STILL_FRESH,
    },
    "batcher.py": {
        "MIN_BATCH_TOKENS = 256 => MIN_BATCH_TOKENS = 257": CHOSEN,
        "HANGING_RETRY_SECONDS = 10.0 => HANGING_RETRY_SECONDS = 11.0": CHOSEN,
        "idle = 0.0 if self._running else asyncio.get_running_loop().time() - self._last_ended => "
        "idle = 1.0 if self._running else asyncio.get_running_loop().time() - self._last_ended": (
            STILL_FRESH
        ),
        "for slot, logit in zip(batch, logits, strict=True): => "
        "for slot, logit in zip(batch, logits, strict=False):": (
            "their number was checked when the engine returned"
        ),
        'return Draining("the service is shutting down", retry_after=1.0) => '
        'return Draining("the service is shutting down", retry_after=2.0)': CHOSEN,
    },
    "calls.py": {
        "SLOWER = 20  # times what is expected of a call, from which on it counts as hanging => "
        "SLOWER = 21  # times what is expected of a call, from which on it counts as hanging": (
            CHOSEN
        ),
    },
    "pace.py": {
        "HALF_LIFE = 10.0  # seconds of compute after which a batch counts half => "
        "HALF_LIFE = 11.0  # seconds of compute after which a batch counts half": CHOSEN,
        "MAX_BATCH_SECONDS = 2.0 => MAX_BATCH_SECONDS = 3.0": CHOSEN,
    },
    "tokenizing.py": {
        "FIRST_PACE = 1e6  # characters a second, about as fast as one processor => "
        "FIRST_PACE = 1000001.0  # characters a second, about as fast as one processor": CHOSEN,
        "idle = 0.0 if self._running else asyncio.get_running_loop().time() - self._last_ended => "
        "idle = 1.0 if self._running else asyncio.get_running_loop().time() - self._last_ended": (
            STILL_FRESH
        ),
        "refusal = Draining(CLOSED, retry_after=1.0) => "
        "refusal = Draining(CLOSED, retry_after=2.0)": CHOSEN,
        "refusal.__cause__ = cause => pass": "only a log shows it",
    },
    "turns.py": {
        "PORTION = 65_536  # characters tokenized in one go: some 40 ms => "
        "PORTION = 65537  # characters tokenized in one go: some 40 ms": CHOSEN,
    },
    "cache.py": {
        "digest = blake2b(digest_size=16) => digest = blake2b(digest_size=17)": CHOSEN,
        'digest.update(len(raw).to_bytes(8, "little")) => '
        'digest.update(len(raw).to_bytes(9, "little"))': CHOSEN,
        "ENTRY_BYTES = 400  # a key, a Known and their place in the table, measured => "
        "ENTRY_BYTES = 401  # a key, a Known and their place in the table, measured": CHOSEN,
    },
}
