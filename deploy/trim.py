"""Removes from an environment what serving on a CPU never opens.

    python deploy/trim.py /venv/lib/python3.11/site-packages

For the slim image: OpenVINO comes with plugins for other devices and with readers of other formats
than its own and ONNX.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

UNUSED = (
    "numpy/**/tests",
    "onnx/backend/test",
    "openvino/libs/cache.json",  # kernels for GPUs
    "openvino/libs/libopenvino_gguf_frontend.*",
    "openvino/libs/libopenvino_intel_gpu_plugin.*",
    "openvino/libs/libopenvino_intel_npu_*",
    "openvino/libs/libopenvino_jax_frontend.*",
    "openvino/libs/libopenvino_paddle_frontend.*",
    "openvino/libs/libopenvino_pytorch_frontend.*",
    "openvino/libs/libopenvino_tensorflow_frontend.*",
    "openvino/libs/libopenvino_tensorflow_lite_frontend.*",
)


def size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder; a link counts nothing."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file() and not file.is_symlink())


def trim(site_packages: Path) -> int:
    """Bytes that were removed. Without the packages there is nothing to remove."""
    removed = 0
    for pattern in UNUSED:
        for path in list(site_packages.glob(pattern)):
            removed += size(path)
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    return removed


def main() -> None:
    parser = argparse.ArgumentParser(description="Remove what serving on a CPU never opens.")
    parser.add_argument("site_packages", type=Path)
    print(f"{trim(parser.parse_args().site_packages) / 1e6:.0f} MB removed")


if __name__ == "__main__":
    main()
