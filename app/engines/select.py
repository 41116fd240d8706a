"""Which backend runs a model, and in which dtype. No backend is named here, no library imported."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from app.engines import LoadedModel
from app.engines.backend import Converter
from app.engines.backends import AUTO, BACKENDS, REFERENCE, converters
from app.engines.benchmark import MIN_AGREEMENT, Result
from app.engines.spec import ModelSpec
from app.errors import InvalidSetting

ACCELERATORS = tuple(map(Path, ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")))


def on_cpu(spec: ModelSpec) -> bool:
    """Without the reference's library, which would know for certain: a GPU has a device file."""
    if spec.device == AUTO:
        return sys.platform != "darwin" and not any(file.exists() for file in ACCELERATORS)
    return spec.device == "cpu"


def refuse_contradictions(spec: ModelSpec) -> None:
    """Converted models run on a CPU; the reference runs on any device."""
    if spec.engine == AUTO:
        candidates = [backend for backend in BACKENDS.values() if runs(backend.all_dtypes, spec)]
    else:
        candidates = [BACKENDS[spec.engine]]
    if not any(runs(backend.all_dtypes, spec) for backend in candidates):
        able = [name for name, each in BACKENDS.items() if runs(each.all_dtypes, spec)]
        raise InvalidSetting(
            f"engine {spec.engine} does not run dtype {spec.dtype}: "
            f"set engine to {' or '.join([*able, AUTO])}"
        )
    if REFERENCE in candidates or on_cpu(spec):
        return
    name, value = ("dtype", spec.dtype) if spec.engine == AUTO else ("engine", spec.engine)
    raise InvalidSetting(f"{name} {value} runs on a CPU only: set device to cpu as well")


def runs(dtypes: Sequence[str], spec: ModelSpec) -> bool:
    return spec.dtype in (AUTO, *dtypes)


def converters_for(spec: ModelSpec) -> list[Converter]:
    """Those that may run the model converted; none where only the reference may run it.

    Code that ships with a model runs as it is, unless another backend is set by name.
    """
    if not on_cpu(spec) or (spec.trust_remote_code and spec.engine == AUTO):
        return []
    usable = []
    for backend in converters():
        if spec.engine not in (AUTO, backend.name) or not runs(backend.all_dtypes, spec):
            continue
        reason = backend.refuses(spec)
        if reason is None:
            usable.append(backend)
        elif spec.engine == backend.name:
            raise InvalidSetting(f"engine {backend.name} cannot run {spec.label}: {reason}")
    return usable


def open_reference(spec: ModelSpec) -> LoadedModel:
    """A model that nothing but the reference can run."""
    if spec.dtype not in (AUTO, *REFERENCE.all_dtypes):
        raise InvalidSetting(
            f"dtype {spec.dtype} is not available for {spec.label}: "
            f"only engine {REFERENCE.name} can run it, with {', '.join(REFERENCE.all_dtypes)}"
        )
    return REFERENCE.load(replace(spec, engine=REFERENCE.name))


def choose(spec: ModelSpec, results: Sequence[Result]) -> Result:
    """The fastest of those that the settings allow and that rank as the reference does.

    What is set by name is taken as it is.
    """
    allowed = [
        result
        for result in results
        if spec.engine in (AUTO, result.engine) and spec.dtype in (AUTO, result.dtype)
    ]
    if not allowed:
        available = ", ".join(f"{result.engine} {result.dtype}" for result in results)
        raise InvalidSetting(
            f"engine {spec.engine} with dtype {spec.dtype} is not available for {spec.label} "
            f"on this machine; available: {available}"
        )
    if len(allowed) == 1:
        return allowed[0]
    named = AUTO not in (spec.engine, spec.dtype)
    if named and not any(result.faithful for result in allowed):
        return max(allowed, key=lambda result: result.agreement)
    return fastest(allowed)


def fastest(results: Sequence[Result]) -> Result:
    """The reference agrees with itself, but may not be among those that the settings allow."""
    faithful = [result for result in results if result.faithful]
    if not faithful:
        measured = ", ".join(
            f"{result.engine} {result.dtype} {result.agreement:.3f}" for result in results
        )
        raise InvalidSetting(
            f"no engine that the settings allow ranks as {REFERENCE.name} float32 does "
            f"({measured}; at least {MIN_AGREEMENT}): leave engine and dtype on auto, "
            "or name both to use one as it is"
        )
    return max(faithful, key=lambda result: result.pairs_per_second)
