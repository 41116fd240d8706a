"""Does half precision rank as float32 does, and float32 on this device as on the CPU?"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.engines.benchmark import MIN_AGREEMENT, agree, logits
from app.engines.loading import load
from app.engines.probe import lists
from app.engines.spec import BUNDLED
from tests import models
from tests.gpu.plan import Plan

# Between two devices in float32, of a logit; sums are taken in another order.
EXACT = 0.01
# Random weights answer a rounding more strongly than trained ones do.
MIN_RANDOM_AGREEMENT = 0.9


def check(plan: Plan) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as temporary:
        names = {BUNDLED: BUNDLED}
        for family, make in models.FAMILIES.items():
            names[family] = str(make(Path(temporary) / family))
        compared = {label: compare(name, plan) for label, name in names.items()}
    bars = dict.fromkeys(names, MIN_RANDOM_AGREEMENT) | {BUNDLED: MIN_AGREEMENT}
    worst = [
        f"{label} {dtype}"
        for label, by_dtype in compared.items()
        for dtype, (tau, apart) in by_dtype.items()
        if (apart > EXACT if dtype == "float32" else tau < bars[label])
    ]
    return {"tau, largest difference of a logit": compared, "below the bar": worst}


def compare(name: str, plan: Plan) -> dict[str, tuple[float, float]]:
    """Kendall's tau and the largest difference of a logit, by dtype, with float32 on the CPU."""
    spec = plan.spec(name, dtype="float32")
    exact = load(replace(spec, device="cpu"))
    pairs = lists(exact.encoder)[: 1 if plan.small else None]
    reference = logits(exact.engine, pairs)
    compared = {}
    for dtype in dict.fromkeys(("float32", *plan.dtypes)):
        measured = logits(load(replace(spec, dtype=dtype)).engine, pairs)
        apart = max(
            abs(a - b)
            for row, other in zip(reference, measured, strict=True)
            for a, b in zip(row, other, strict=True)
        )
        compared[dtype] = (round(agree(reference, measured), 4), round(apart, 5))
    return compared
