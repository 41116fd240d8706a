"""The wire formats of rerankers elsewhere, one file each."""

from __future__ import annotations

from typing import NamedTuple

from app.remote.providers.cohere import COHERE
from app.remote.providers.jina import JINA
from app.remote.providers.rerankd import RERANKD
from app.remote.providers.voyage import VOYAGE
from app.remote.providers.wire import Wire

WIRES = {wire.name: wire for wire in (COHERE, JINA, VOYAGE, RERANKD)}


class Target(NamedTuple):
    wire: Wire
    model: str
    url: str


def find_target(name: str, url: str = "") -> Target:
    """From `cohere:MODEL` and the like, or the URL of another rerankd."""
    if name.startswith(("http://", "https://")):
        return Target(RERANKD, "", name)
    wire, _, model = name.partition(":")
    return Target(WIRES[wire], model, url or WIRES[wire].url)
