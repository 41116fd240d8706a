"""Opens the scores that replicas share, as the settings say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app import __version__
from app.engines import LoadedModel
from app.engines.spec import ModelSpec
from app.errors import PackageMissing
from app.events import Observe
from app.settings import Settings
from app.shared_cache.cache import SharedCache
from app.shared_cache.entries import namespace


def make_shared_cache(settings: Settings, observe: Observe) -> SharedCache | None:
    """It connects to the server when it is opened."""
    if settings.shared is None:
        return None
    try:
        from app.shared_cache.redis_client import RedisServer  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise PackageMissing(
            "shared needs a package that is not installed: pip install 'rerankd[redis]'"
        ) from error
    return SharedCache(
        RedisServer(settings.shared.get_secret_value()),
        settings.shared_timeout_ms / 1000,
        settings.cache_ttl_seconds,
        observe,
    )


@asynccontextmanager
async def opened(shared: SharedCache | None) -> AsyncIterator[None]:
    if shared is None:
        yield
    else:
        async with shared.running():
            yield


def namespace_of(spec: ModelSpec, model: LoadedModel) -> bytes:
    """All on which a score depends beside query and document: replicas of which anything of it
    differs share nothing."""
    from app.engines.converted_model import fingerprint  # noqa: PLC0415 (tokenizers takes a while)
    from app.engines.hub import source_folder  # noqa: PLC0415 (as above)

    source = source_folder(spec)
    return namespace(
        __version__,
        model.name,
        model.revision,
        model.architecture,
        model.engine.name,
        model.engine.device.partition(":")[0],
        model.engine.dtype,
        model.encoder.max_tokens,
        fingerprint(source) if source else None,
    )
