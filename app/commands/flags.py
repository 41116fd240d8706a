"""Settings as command line flags, generated from the settings."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from pydantic import ValidationError

from app.log_queue import print_last
from app.settings import PREFIX, Settings, UnknownSetting, load


class RefuseSecret(argparse.Action):
    """A flag that is always refused; without it, argparse would match a longer flag."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002
        namespace: argparse.Namespace,  # noqa: ARG002
        values: object,  # noqa: ARG002
        option_string: str | None = None,
    ) -> None:
        variable = f"{PREFIX}{self.dest.removeprefix('setting_').upper()}"
        stop(f"{option_string} would show a key in the process list: set {variable} instead", 2)


def is_secret(name: str) -> bool:
    return name.endswith(("_key", "_keys"))


def add_flags(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    for name in names:
        if is_secret(name):
            parser.add_argument(
                f"--{name.replace('_', '-')}",
                dest=f"setting_{name}",
                action=RefuseSecret,
                default=argparse.SUPPRESS,
                help=argparse.SUPPRESS,
            )
            continue
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
        sentence = first["msg"].removeprefix("Value error, ")
        stop(f"setting {name}: {sentence}" if name else sentence, 2)


def stop(sentence: str, code: int) -> NoReturn:
    print_last(f"rerankd: {sentence}")
    sys.exit(code)


def add_url_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        help="URL of a running rerankd to use instead of a local model; its API key is the first "
        "of RERANKD_API_KEYS",
    )
