"""Looks the locked packages up among known vulnerabilities: `make audit`.

Exit code 1: a package has one. Where the advisory service cannot be reached, or does not know the
packages (a mirror), the audit is skipped and says so; with AUDIT_REQUIRED=1, as in a release, a
package that was not looked up is a failure too.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements-cuda.lock", "requirements-build.lock")


def pins() -> list[str]:
    """Names and versions; hashes are what an installer checks, and not what advisories know."""
    lines = (line for lock in LOCKS for line in (ROOT / lock).read_text().splitlines())
    return sorted({line.split(" ")[0] for line in lines if re.match(r"[a-z0-9]", line)})


def look_up(packages: Sequence[str]) -> list[dict[str, Any]]:
    """What the advisory service says of each; nothing where it cannot be reached."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(packages))
        file.flush()
        command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner=off"]
        done = subprocess.run(
            [*command, "--disable-pip", "--no-deps", "-r", file.name],
            capture_output=True,
            text=True,
            check=False,
        )
    if not done.stdout.startswith("{"):
        print(done.stderr.strip()[-500:], file=sys.stderr)
        return []
    dependencies: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    return dependencies


def main() -> int:
    packages = pins()
    looked_up = [entry for entry in look_up(packages) if "skip_reason" not in entry]
    for entry in looked_up:
        for advisory in entry["vulns"]:
            fixed = ", ".join(advisory["fix_versions"]) or "no version yet"
            print(f"{entry['name']} {entry['version']}: {advisory['id']}, fixed in {fixed}")
    missing = len(packages) - len(looked_up)
    if missing:
        print(f"{missing} of {len(packages)} packages could not be looked up", file=sys.stderr)
    if not looked_up:
        print("the audit is skipped: no advisory service can be reached", file=sys.stderr)
    vulnerable = sum(bool(entry["vulns"]) for entry in looked_up)
    print(f"{len(looked_up)} packages looked up, {vulnerable} with a known vulnerability")
    required = os.environ.get("AUDIT_REQUIRED", "0") == "1"
    return int(vulnerable > 0 or (required and missing > 0))


if __name__ == "__main__":
    sys.exit(main())
