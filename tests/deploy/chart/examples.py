"""The examples of values files, and the manifest of a sidecar."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[3] / "deploy" / "helm" / "examples"
SIDECAR: dict[str, Any] = yaml.safe_load((FOLDER / "sidecar.yaml").read_text())
EXAMPLES: dict[str, dict[str, Any]] = {
    path.stem: yaml.safe_load(path.read_text())
    for path in sorted(FOLDER.glob("*.yaml"))
    if path.stem != "sidecar"
}
