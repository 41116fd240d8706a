"""Loads the model of this process, as the settings say."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread

from app.engines import Encoder, LoadedModel
from app.engines.spec import ModelSpec
from app.settings import Settings

logger = logging.getLogger(__name__)

# Returns a model, and whether its engine is still to be chosen.
Load = Callable[[], tuple[LoadedModel, bool]]


def load_ahead(settings: Settings) -> Load:
    """Begin to load now; what is returned waits for the model.

    The thread does not keep the process alive, because it cannot be interrupted.
    """
    loaded: Future[tuple[LoadedModel, bool]] = Future()

    def load() -> None:
        try:
            loaded.set_result(load_soon(settings, at_once=True))
        except BaseException as error:  # noqa: BLE001 (raised to whoever waits)
            loaded.set_exception(error)

    Thread(target=load, name="loader", daemon=True).start()
    return loaded.result


def load_soon(settings: Settings, *, at_once: bool = False) -> tuple[LoadedModel, bool]:
    from app.engines.loading import load_soon  # noqa: PLC0415 (tokenizers takes a while)

    return load_soon(spec_of(settings), at_once=at_once)


def load_encoder(settings: Settings) -> Encoder:
    """What counts tokens. Of a model that was converted before, nothing else is opened."""
    from app.engines import converted_model, loading  # noqa: PLC0415 (tokenizers takes a while)
    from app.engines.select import converters_for  # noqa: PLC0415 (imported with them)

    spec = spec_of(settings)
    kept = converted_model.converted_folder(spec) if converters_for(spec) else None
    try:
        card = converted_model.read_card(kept) if kept else None
        if kept and card and spec.max_length <= card.max_tokens:
            converted_model.verify(kept, card, [converted_model.TOKENIZER])
            return converted_model.encoder_of(kept, card, spec.max_length)
    except converted_model.Damaged as error:
        fields = {"folder": str(kept), "reason": str(error)}
        logger.warning("converted_model_damaged", extra={"fields": fields})
    return loading.load(spec).encoder


def spec_of(settings: Settings) -> ModelSpec:
    several_keys = settings.api_keys_file is not None or len(settings.api_keys) > 1
    apart = several_keys and not settings.share_cache
    return ModelSpec(
        name=settings.model,
        shown_as=settings.model_name,
        revision=settings.revision,
        device=settings.device,
        engine=settings.engine,
        dtype=settings.dtype,
        max_length=settings.max_length,
        threads=settings.threads,
        offline=settings.offline,
        trust_remote_code=settings.trust_remote_code,
        engines=settings.engines.expanduser(),
        state_bytes=0 if apart else settings.state_cache_mb * 2**20,
        state_seconds=settings.cache_ttl_seconds,
        callers_apart=apart,
    )
