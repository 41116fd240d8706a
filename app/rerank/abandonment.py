"""Learns whether most callers leave before they are answered. Pure: uses no clock or task.

Callers who state no time limit still have one. When the queue takes longer than that, the oldest
first means that the engine works for callers who are about to leave, and their retries keep the
queue long: after a short stall, nobody would be answered again. So the newest are served first
then: docs/decisions/0014.
"""

from __future__ import annotations

HALF_LIFE_SECONDS = 5.0
# Fewer recent calls than this allow no judgement.
MIN_CALLS = 5.0
# Prevails from the high share on, until the share has fallen to the low one. Clients that send a
# request twice, and leave one when the other is answered, stay below the high share.
HIGH_SHARE, LOW_SHARE = 0.6, 0.1


class Abandonment:
    def __init__(self) -> None:
        self.prevails = False
        self._calls = 0.0
        self._left = 0.0
        self._observed = 0.0

    def observe(self, now: float, *, left: bool) -> bool:
        """Count a call whose caller left or was answered; return whether `prevails` changed."""
        kept = 0.5 ** ((now - self._observed) / HALF_LIFE_SECONDS)
        self._observed = now
        self._calls = self._calls * kept + 1
        self._left = self._left * kept + left
        before, share = self.prevails, self._left / self._calls
        if share <= LOW_SHARE:
            self.prevails = False
        elif share >= HIGH_SHARE and self._calls >= MIN_CALLS:
            self.prevails = True
        return self.prevails != before
