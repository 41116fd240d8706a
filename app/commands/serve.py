"""`rerankd serve`."""

from __future__ import annotations

import argparse

from app import logs
from app.commands.flags import add_flags, settings_from
from app.compose.loading import load_ahead
from app.settings import Settings, is_remote


def configure(parser: argparse.ArgumentParser) -> None:
    add_flags(parser, list(Settings.model_fields))


def run(arguments: argparse.Namespace) -> int:
    settings = settings_from(arguments)
    logs.configure(settings.log_level, settings.log_format, queued=True)
    load = None if is_remote(settings.model) else load_ahead(settings)
    from app.commands.serving import serve  # noqa: PLC0415 (takes as long as the model to load)

    return serve(settings, load)
