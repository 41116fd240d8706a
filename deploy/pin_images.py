"""Writes the digests of the images that others make: in the Dockerfile and docker-compose.yml.

    make pin-images

What a tag points at today is asked of its registry by `docker buildx imagetools inspect`, and
pulls nothing. Look at the difference before it is committed: a digest says which bytes, and not
that they are good.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIGEST = r"@sha256:[0-9a-f]{64}"
# A file, and what in it names an image: what stands before the tag, the tag, and its digest.
PLACES = {
    "Dockerfile": rf"^(ARG PYTHON=)([\w.-]+)((?:{DIGEST})?)$",
    "docker-compose.yml": rf"^( +image: (?!rerankd:))([\w./-]+:[\w.-]+)((?:{DIGEST})?)$",
}


def digest_of(image: str) -> str:
    command = ["docker", "buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}"]
    done = subprocess.run([*command, image], capture_output=True, text=True, check=False)
    digest = f"@{done.stdout.strip()}"
    if done.returncode or not re.fullmatch(DIGEST, digest):
        sys.exit(f"the digest of {image} cannot be looked up: {done.stderr.strip()[-300:]}")
    return digest


def pin(file: Path, pattern: str) -> None:
    def pinned(match: re.Match[str]) -> str:
        image = f"python:{match[2]}" if "PYTHON" in match[1] else match[2]
        digest = digest_of(image)
        print(f"{image}{digest}{'' if digest == match[3] else ' (changed)'}")
        return f"{match[1]}{match[2]}{digest}"

    text, count = re.subn(pattern, pinned, file.read_text(), flags=re.MULTILINE)
    if not count:
        sys.exit(f"{file.name} names no image where one is looked for")
    file.write_text(text)


def main(root: Path = ROOT) -> None:
    for name, pattern in PLACES.items():
        pin(root / name, pattern)


if __name__ == "__main__":
    main()
