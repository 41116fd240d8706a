"""The limits of connections, and the descriptors that they draw on."""

from __future__ import annotations

import resource
from dataclasses import dataclass

MAX_CONNECTIONS = 4096
MAX_HEADERS = 100
MAX_RESERVE = 32
# Some systems have no hard limit, and refuse "unlimited".
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
    reserve_paths: frozenset[bytes]  # what is served when all connections are busy
    header_count: int = MAX_HEADERS
    linger_seconds: float = 2.0
    discarded_bytes: int = 1 << 20  # of a request that is not answered

    @property
    def reserve(self) -> int:
        """Connections beyond the bound, for probes and scrapes."""
        return max(1, min(MAX_RESERVE, self.connections // 8))

    @property
    def sweep_seconds(self) -> float:
        """How often clocks are looked at: a limit is exceeded by a tenth of it at most."""
        shortest = min(
            self.header_seconds,
            self.body_idle_seconds,
            self.body_seconds,
            self.write_stall_seconds,
            self.keep_alive_seconds,
        )
        return min(MAX_SWEEP_SECONDS, shortest / 10)


def default_connections(descriptors: int) -> int:
    """Half of the descriptors: stores, models and upstreams need some too."""
    return max(1, min(MAX_CONNECTIONS, descriptors // 2))


def raise_descriptor_limit() -> int:
    """Raise the soft limit to the hard one; the number of descriptors this process may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return MAX_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError):  # a sandbox may forbid it
        return soft
    return wanted
