"""The providers: services that rank for us. To add one: a file beside these, and a line below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from app.remote.providers import cohere, jina, rerankd, voyage
from app.remote.providers.provider import Provider

PROVIDERS: Mapping[str, Provider] = {
    provider.name: provider
    for provider in (
        cohere.PROVIDER,
        jina.PROVIDER,
        voyage.PROVIDER,
        rerankd.PROVIDER,
    )
}
# Those with an address of their own are named with a model; the others by their URL.
HOSTED = tuple(provider.name for provider in PROVIDERS.values() if provider.url)
HOSTED_FORMS = tuple(f"{name}:MODEL" for name in HOSTED)


class Target(NamedTuple):
    provider: Provider
    model: str
    url: str


def find_target(name: str, url: str = "") -> Target:
    """From `cohere:MODEL` and the like, or the URL of another rerankd."""
    if name.startswith(("http://", "https://")):
        return Target(rerankd.PROVIDER, "", name)
    prefix, _, model = name.partition(":")
    if prefix not in HOSTED:
        raise ValueError(f"{name} names no known provider; known: {', '.join(HOSTED_FORMS)}")
    provider = PROVIDERS[prefix]
    return Target(provider, model, url or provider.url)
