"""Packs a training run in one file for an isolated GPU machine; the result returns in parts.

python -m app.training.bundled.bundle pack --data DIR --cache DIR --model DIR --out run.tar

and on that machine, repeatedly if needed, because it continues from its checkpoint:

tar xf run.tar
python -m app.training.bundled --data data --cache cache --out out \\
  --groups 64 --together 32 --steps 1500 --stop 1500
python -m app.training.bundled.bundle split out/model --out parts

and back here:

python -m app.training.bundled.bundle join parts --out FOLDER
"""

import argparse
import hashlib
import io
import lzma
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

APP = Path(__file__).resolve().parents[2]
LIMIT = 64 * 1024**2
PART = 16 * 1024**2
CANDIDATES_PER_QUERY = 30
SUMS = "SHA256SUMS"


def without_clutter(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if info.isfile() and not info.name.endswith((".py", ".xz", ".json", ".safetensors")):
        return None
    return None if "__pycache__" in info.name or info.name == "app/models" else info


def add_bytes(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def shrink(path: Path) -> bytes:
    """Fewer candidates, compressed."""
    numbers = np.load(path)[:, :CANDIDATES_PER_QUERY].astype(np.int16)
    packed = io.BytesIO()
    np.save(packed, numbers)
    return lzma.compress(packed.getvalue(), preset=9)


def pack(data: Path, cache: Path, model: Path, out: Path) -> None:
    with tarfile.open(out, "w") as tar:
        tar.add(APP, "app", filter=without_clutter)
        tar.add(data, "data", filter=without_clutter)
        tar.add(model, "out/start", filter=without_clutter)
        for path in sorted(cache.glob("*.npy")):
            add_bytes(tar, f"cache/{path.name}.xz", shrink(path))
    size = out.stat().st_size
    if size > LIMIT:
        raise SystemExit(f"{out} has {size / 1024**2:.1f} MiB, more than {LIMIT // 1024**2}")


def split(folder: Path, out: Path, size: int = PART) -> list[Path]:
    """Writes the folder as one archive in parts, with the checksum of the archive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    whole = packed.getvalue()
    out.mkdir(parents=True, exist_ok=True)
    parts = []
    for number, first in enumerate(range(0, len(whole), size)):
        parts.append(out / f"part-{number:03d}")
        parts[-1].write_bytes(whole[first : first + size])
    (out / SUMS).write_text(hashlib.sha256(whole).hexdigest() + "\n")
    return parts


def join(parts: Path, out: Path) -> None:
    whole = b"".join(path.read_bytes() for path in sorted(parts.glob("part-*")))
    if hashlib.sha256(whole).hexdigest() != (parts / SUMS).read_text().strip():
        raise SystemExit(
            f"the parts in {parts} do not match their checksum: one is missing or changed"
        )
    out.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        tar.extractall(out, filter="data")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m app.training.bundled.bundle",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    packing = verbs.add_parser("pack")
    for name in ("data", "cache", "model"):
        packing.add_argument(f"--{name}", type=Path, required=True)
    for verb in ("split", "join"):
        verbs.add_parser(verb).add_argument("folder", type=Path)
    for parsing in verbs.choices.values():
        parsing.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    if options.verb == "pack":
        pack(options.data, options.cache, options.model, options.out)
    elif options.verb == "split":
        split(options.folder, options.out)
    else:
        join(options.folder, options.out)


if __name__ == "__main__":
    main()
