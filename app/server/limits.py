"""The limits of connections, and the limit on file descriptors."""

from __future__ import annotations

import resource
from dataclasses import dataclass

MAX_CONNECTIONS = 4096
MAX_HEADERS = 100
MAX_RESERVE = 32
# For systems that have no hard limit but reject "unlimited" as a soft limit.
MAX_DESCRIPTORS = 1 << 20
MAX_SWEEP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    connections: int
    header_bytes: int
    header_seconds: float
    body_idle_seconds: float
    body_seconds: float
    write_stall_seconds: float
    keep_alive_seconds: float
    unread_bytes: int
    reserve_paths: frozenset[bytes]  # served even when all connections are busy
    header_count: int = MAX_HEADERS
    linger_seconds: float = 2.0
    discarded_bytes: int = 1 << 20  # read and ignored after a refusal or a pipelined request

    @property
    def reserve(self) -> int:
        """Connections above the limit, for health probes and metrics scrapes."""
        return max(1, min(MAX_RESERVE, self.connections // 8))

    @property
    def sweep_seconds(self) -> float:
        """Interval of the checks. A time limit is exceeded by at most a tenth of it."""
        shortest = min(
            self.header_seconds,
            self.body_idle_seconds,
            self.body_seconds,
            self.write_stall_seconds,
            self.keep_alive_seconds,
        )
        return min(MAX_SWEEP_SECONDS, shortest / 10)


def default_connections(descriptors: int) -> int:
    """Half of the descriptors; stores, models and upstreams need the others."""
    return max(1, min(MAX_CONNECTIONS, descriptors // 2))


def raise_descriptor_limit() -> int:
    """Raise the soft limit to the hard limit; return how many descriptors this process may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return MAX_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError):  # a sandbox may forbid it
        return soft
    return wanted
