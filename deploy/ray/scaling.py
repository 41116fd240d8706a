"""How many replicas are needed, as docs/how-to/scale.md says for every autoscaler.

Ray sends this module to its controller by value, so it imports nothing of rerankd.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

QUEUE_SECONDS, UTILIZATION = "queue_seconds_of_work", "utilization"


class Context(Protocol):
    """What Ray tells a policy: of each metric, the mean over the look-back period by replica."""

    @property
    def aggregated_metrics(self) -> Mapping[str, Mapping[Any, float]] | None: ...

    @property
    def target_num_replicas(self) -> int: ...


class WaitingWork:
    """Replicas for the larger of two needs: seconds of waiting work say how many are missing, and
    utilization says how many are still needed when nothing waits.

    Ray itself keeps the number within its bounds and applies the delays.
    """

    def __init__(self, queue_seconds: float = 1.0, utilization: float = 0.7) -> None:
        """What a replica may have on average."""
        self._targets = {QUEUE_SECONDS: queue_seconds, UTILIZATION: utilization}

    def __call__(self, context: Context) -> tuple[int, dict[str, Any]]:
        """Without any metric, as after a start of the controller, the number stays as it is."""
        metrics = context.aggregated_metrics or {}
        needs = [
            math.ceil(sum(metrics[name].values()) / target)
            for name, target in self._targets.items()
            if metrics.get(name)
        ]
        return (max(1, *needs) if needs else context.target_num_replicas), {}
