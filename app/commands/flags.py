"""Settings as command line flags, made from the settings themselves."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from pydantic import ValidationError

from app.log_queue import print_last
from app.settings import PREFIX, Settings, UnknownSetting, load


def add_flags(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    for name in names:
        field = Settings.model_fields[name]
        shown = getattr(field.default, "name", field.default)
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=f"setting_{name}",
            metavar="VALUE",
            default=argparse.SUPPRESS,
            help=f"{field.description} [{PREFIX}{name.upper()}, default: {shown!r}]".replace(
                "%", "%%"
            ),
        )


def settings_from(arguments: argparse.Namespace) -> Settings:
    """Flags, then environment, then defaults; or one sentence and exit code 2."""
    flags = {
        name.removeprefix("setting_"): value
        for name, value in vars(arguments).items()
        if name.startswith("setting_")
    }
    try:
        return load(os.environ, **flags)
    except UnknownSetting as error:
        stop(str(error), 2)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        stop(f"setting {name}: {first['msg']}" if name else first["msg"], 2)


def stop(sentence: str, code: int) -> NoReturn:
    print_last(f"rerankd: {sentence}")
    sys.exit(code)
