"""Writes the bill of materials of a release, `dist/rerankd.cdx.json` (CycloneDX): `make sbom`.

Of the packages with the hashes that the image installs them by. Not in it: the Debian packages of
the base image, which its digest in the Dockerfile names, and the bundled model, which is part of
rerankd itself.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "dist" / "rerankd.cdx.json"


def requirements() -> str:
    """The lock, and torch by its version: its CPU build has files that the lock does not know."""
    torch = re.search(r"^torch==\S+$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    if torch is None:
        sys.exit("constraints.txt does not pin torch")
    return f"{(ROOT / 'requirements.lock').read_text()}{torch[0]}\n"


def version() -> str:
    return (ROOT / "app" / "__init__.py").read_text().rsplit('"', 2)[1]


def main() -> None:
    TARGET.parent.mkdir(exist_ok=True)
    command = [
        *(sys.executable, "-m", "cyclonedx_py", "requirements", "-"),
        *("--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "application"),
        *("--output-reproducible", "--output-format", "JSON", "--output-file", str(TARGET)),
    ]
    subprocess.run(command, input=requirements(), text=True, check=True)
    bill = json.loads(TARGET.read_text())
    bill["metadata"]["component"]["version"] = version()
    TARGET.write_text(json.dumps(bill, indent=2) + "\n")
    print(f"{TARGET.relative_to(ROOT)}: {len(bill['components'])} packages")


if __name__ == "__main__":
    main()
