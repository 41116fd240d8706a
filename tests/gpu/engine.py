"""How fast the engine is by itself, in several forms, against `CrossEncoder.predict`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from app.engines import LoadedModel, Pair, tokens_of
from app.engines.loading import load
from app.engines.torch.engine import TorchEngine
from loadtest.baseline import Predict
from loadtest.report import tell
from loadtest.workload import Request
from tests.gpu.plan import Plan

SLICE_TOKENS = (8_192, 32_768, 131_072)
SMALL_REQUESTS = (1, 10, 100)
ROUNDS = 3
TOP_KERNELS = 15
PRODUCTS = 10

Results = dict[str, Any]


def measure(plan: Plan) -> Results:
    loaded = {dtype: load(plan.spec(dtype=dtype)) for dtype in plan.dtypes}
    predicts = {
        dtype: Predict(plan.spec().source, plan.device, dtype)
        for dtype in dict.fromkeys(("float32", plan.dtypes[-1]))
    }
    results: Results = {}
    for kind in plan.kinds:
        requests = plan.requests(kind, seed=1)
        results[kind.name] = compare(plan, loaded, predicts, requests)
        tell(f"{kind.name}: {results[kind.name]}")
    if plan.device == "cuda":
        pairs = encode(loaded[plan.dtypes[0]], requests)
        results["small requests, ms"] = latencies(engine_of(loaded[plan.dtypes[0]]), pairs)
        results["kernels, us"] = kernels(engine_of(loaded[plan.dtypes[0]]), pairs)
        results["compiled"] = compiled(plan, pairs)
    results["TFLOP/s of a product of matrices"] = round(peak(plan) / 1e12, 2)
    return results


def compare(
    plan: Plan,
    loaded: dict[str, LoadedModel],
    predicts: dict[str, Predict],
    requests: Sequence[Request],
) -> Results:
    first = loaded[plan.dtypes[0]]
    pairs = encode(first, requests)
    rates = {f"predict {dtype}": predicted(each, requests) for dtype, each in predicts.items()}
    for dtype, model in loaded.items():
        for tokens in SLICE_TOKENS[: 1 if plan.small else None]:
            rates[f"{dtype}, slices of {tokens}"] = engine_pace(engine_of(model), tokens, pairs)
    return {
        "pairs/s": {name: round(rate, 1) for name, rate in rates.items()},
        "tokenizing, one thread, pairs/s": round(pace(lambda: encode(first, requests), pairs), 1),
        "tokens of a pair": round(tokens_of(pairs) / len(pairs), 1),
        "TFLOP/s at best": round(
            max(rates.values()) / len(pairs) * flops(engine_of(first), pairs) / 1e12, 2
        ),
    }


def encode(model: LoadedModel, requests: Sequence[Request]) -> list[Pair]:
    return [
        item.pair
        for request in requests
        for item in model.encoder.encode(
            request.query, request.documents, instruction=None, cut="right"
        )
    ]


def engine_of(model: LoadedModel) -> TorchEngine:
    assert isinstance(model.engine, TorchEngine)
    return model.engine


def predicted(predict: Predict, requests: Sequence[Request]) -> float:
    predict.turn(requests[:1])
    return max(predict.turn(requests).pairs_per_second for _ in range(2))


def engine_pace(engine: TorchEngine, tokens: int, pairs: Sequence[Pair]) -> float:
    usual = engine.slicing
    engine.slicing = replace(usual, tokens=tokens, waste=min(usual.waste, tokens // 4))
    try:
        return pace(lambda: engine.score(pairs), pairs)
    finally:
        engine.slicing = usual


def pace(call: Callable[[], object], pairs: Sequence[Pair]) -> float:
    """Pairs a second, in the fastest round; the scores are read, so the device has finished."""
    call()
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return len(pairs) / min(seconds)


def latencies(engine: TorchEngine, pairs: Sequence[Pair]) -> dict[int, float]:
    milliseconds = {}
    for count in SMALL_REQUESTS:
        few = pairs[:count]
        rate = pace(lambda few=few: engine.score(few), few)  # type: ignore[misc]
        milliseconds[count] = round(1_000 * count / rate, 2)
    return milliseconds


def kernels(engine: TorchEngine, pairs: Sequence[Pair]) -> dict[str, float]:
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        engine.score(pairs)
    events = sorted(profile.key_averages(), key=lambda event: -event.self_device_time_total)
    return {event.key[:90]: round(event.self_device_time_total) for event in events[:TOP_KERNELS]}


def compiled(plan: Plan, pairs: Sequence[Pair]) -> Results:
    """The model through torch.compile, for any shape."""
    engine = engine_of(load(plan.spec(dtype=plan.dtypes[0])))
    inner: Any = engine.model[0].model
    inner.compile(dynamic=True)
    started = time.perf_counter()
    engine.score(pairs)
    return {
        "seconds to compile": round(time.perf_counter() - started, 1),
        "pairs/s": {tokens: round(engine_pace(engine, tokens, pairs)) for tokens in SLICE_TOKENS},
        "small requests, ms": latencies(engine, pairs),
    }


def flops(engine: TorchEngine, pairs: Sequence[Pair]) -> float:
    """Of the encoder's products of matrices and its attention, without padding."""
    inner: Any = engine.model[0].model
    linear = sum(
        module.weight.numel()
        for name, module in inner.named_modules()
        if isinstance(module, nn.Linear) and "head" not in name
    )
    squares = sum(pair.tokens**2 for pair in pairs)
    attention = 4.0 * inner.config.num_hidden_layers * inner.config.hidden_size * squares
    return float(2.0 * linear * tokens_of(pairs) + attention)


def peak(plan: Plan) -> float:
    """What the device makes of large products of matrices, operations a second."""
    size: int = 256 if plan.small else 8_192
    dtype = getattr(torch, plan.dtypes[0])
    first, second = (torch.randn(size, size, device=plan.device, dtype=dtype) for _ in range(2))

    def multiply() -> None:
        for _ in range(PRODUCTS):
            product = first @ second
        product[0, 0].item()

    multiply()
    started = time.perf_counter()
    multiply()
    return float(PRODUCTS * 2 * size**3) / (time.perf_counter() - started)
