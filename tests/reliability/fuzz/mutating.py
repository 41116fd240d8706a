"""Bytes made of other bytes: cut, doubled, flipped, and mixed with what is known to hurt."""

from __future__ import annotations

import random
from collections.abc import Sequence

MOST_CHANGES = 4
SPAN = 40  # bytes that one change concerns, at most


def mutated(raw: bytes, chance: random.Random, pieces: Sequence[bytes]) -> bytes:
    for _ in range(chance.randint(1, MOST_CHANGES)):
        start = chance.randrange(len(raw) + 1)
        end = min(len(raw), start + chance.randrange(SPAN))
        change = chance.randrange(6)
        if change == 0:
            raw = raw[:start]
        elif change == 1:
            raw = raw[:start] + raw[end:]
        elif change == 2:
            raw = raw[:end] + raw[start:]
        elif change == 3:
            raw = raw[:start] + chance.choice(pieces) + raw[end:]
        elif change == 4:
            raw = raw[:start] + chance.randbytes(end - start) + raw[end:]
        else:
            other = chance.randrange(len(raw) + 1)
            raw = raw[:other] + raw[start:end] + raw[other:]
    return raw
