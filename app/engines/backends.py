"""The backends. To add one: a folder beside this file, and its constant in this list."""

from __future__ import annotations

from app.engines import native, onnxruntime, openvino, torch
from app.engines.backend import Converter, Reference

AUTO = "auto"
REFERENCE: Reference = torch.BACKEND
BACKENDS: dict[str, Reference | Converter] = {
    backend.name: backend
    for backend in (REFERENCE, openvino.BACKEND, onnxruntime.BACKEND, native.BACKEND)
}


def converters() -> list[Converter]:
    return [backend for backend in BACKENDS.values() if isinstance(backend, Converter)]


def engine_names() -> list[str]:
    """What the setting `engine` accepts."""
    return [AUTO, *BACKENDS]


def dtype_names() -> list[str]:
    """What the setting `dtype` accepts."""
    dtypes = [dtype for backend in BACKENDS.values() for dtype in backend.all_dtypes]
    return [AUTO, *dict.fromkeys(dtypes)]
