"""The generated blocks of docs/: `make docs` writes them again from the code.

A block stands between `<!-- NAME -->` and `<!-- /NAME -->` in the page of the same name;
`test_reference.py` fails when a block differs from what the code says.
"""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from fastapi import FastAPI
from pydantic_core import PydanticUndefined

from app.api.problems import BY_STATUS, INTERNAL, KINDS
from app.cli import COMMANDS
from app.compose.app import create_app
from app.errors import LoadFailed
from app.metrics import Metrics
from app.retrieval.stores import STORES
from app.server.refusals import REFUSALS
from app.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
SETTING = "setting_"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines).replace("|  |", "| |")


def code(value: object) -> str:
    if value in ("", (), None, PydanticUndefined):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def choices(annotation: object) -> str:
    if get_origin(annotation) is not Literal:
        return ""
    return " One of " + ", ".join(map(code, get_args(annotation))) + "."


def settings() -> str:
    rows = [
        [
            f"`{PREFIX}{name.upper()}`",
            code(field.default),
            f"{field.description}.{choices(field.annotation)}",
        ]
        for name, field in Settings.model_fields.items()
    ]
    return table(["variable", "default", "meaning"], rows)


def stop(error: LoadFailed) -> None:
    raise error


def default_app() -> FastAPI:
    return create_app(Settings(), fatal=stop)


def metrics() -> str:
    registered: Metrics = default_app().state.wiring.metrics
    rows = [
        [
            f"`{metric.name}{'_total' * (metric.type == 'counter')}`",
            metric.type,
            metric.documentation,
        ]
        for metric in registered.registry.collect()
        if metric.name.startswith("rerankd_")
    ]
    return table(["name", "kind", "meaning"], sorted(rows))


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of each documented operation."""
    paths: dict[str, dict[str, dict[str, Any]]] = default_app().openapi()["paths"]
    return [
        (method.upper(), path, operation)
        for path, methods in paths.items()
        for method, operation in methods.items()
    ]


def endpoints(*, of_dialects: bool = False) -> str:
    rows = [
        [f"`{method}`", f"`{path}`", operation["summary"]]
        for method, path, operation in operations()
        if of_dialects == ("dialects" in operation.get("tags", ()))
    ]
    return table(["method", "path", "purpose"], rows)


def dialects() -> str:
    return endpoints(of_dialects=True)


def errors() -> str:
    # A refusal of the connection and an error of the service may share a type.
    entries = {(refusal.status, refusal.type): refusal.title for refusal in REFUSALS}
    for kind in (*KINDS.values(), *BY_STATUS.values(), INTERNAL):
        entries[kind.status, kind.type] = kind.title
    rows = [[str(status), f"`{name}`", title] for (status, name), title in sorted(entries.items())]
    return table(["status", "`type`", "title"], rows)


def arguments_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if action.dest != "help"]


def usage(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{action.metavar or action.dest}`"
    takes = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    return f"`{', '.join(action.option_strings)}{takes}`"


def subcommand(name: str) -> str:
    parser = argparse.ArgumentParser(f"rerankd {name}")
    importlib.import_module(COMMANDS[name].module).configure(parser)
    actions = [each for each in arguments_of(parser) if each.help != argparse.SUPPRESS]
    purpose = COMMANDS[name].help
    own = [each for each in actions if not each.dest.startswith(SETTING)]
    flags = [each.option_strings[0] for each in actions if each.dest.startswith(SETTING)]
    parts = [f"### rerankd {name}", f"{purpose[0].upper()}{purpose[1:]}."]
    if own:
        rows = [[usage(each), meaning(each)] for each in own]
        parts.append(table(["argument", "meaning"], rows))
    if len(own) == 0:
        parts.append("Every [setting](settings.md) except a key is a flag of this command.")
    elif flags:
        parts.append(f"Settings as flags: {', '.join(map(code, flags))}.")
    return "\n\n".join(parts)


def meaning(action: argparse.Action) -> str:
    text = (action.help or "").replace("%%", "%").replace("|", "\\|")
    one_of = ", ".join(map(code, action.choices or ()))
    return "; ".join(part for part in (text, one_of) if part)


def commands() -> str:
    return "\n\n".join(map(subcommand, COMMANDS))


def stores() -> str:
    rows = [
        [
            f"[{kind.title}](#{kind.title.lower().replace(' ', '-')})",
            ", ".join(map(code, kind.examples)),
            kind.reads,
            "no" if isinstance(kind.open_writer, str) else "yes",
            code(kind.extra),
            kind.tested_against,
        ]
        for kind in dict.fromkeys(STORES.values())
    ]
    head = [
        "store",
        "URL",
        "searches by",
        "`rerankd ingest` can fill it",
        "needs the extra",
        "tested against",
    ]
    return table(head, rows)


# Page, and the name of the block in it that the function makes.
BLOCKS: dict[tuple[str, str], Callable[[], str]] = {
    ("command-line.md", "commands"): commands,
    ("endpoints.md", "endpoints"): endpoints,
    ("endpoints.md", "dialects"): dialects,
    ("errors.md", "errors"): errors,
    ("metrics.md", "metrics"): metrics,
    ("settings.md", "settings"): settings,
    ("../how-to/stores.md", "stores"): stores,
}


def pattern(block: str) -> re.Pattern[str]:
    return re.compile(f"(<!-- {block} -->\n).*?(<!-- /{block} -->)", re.DOTALL)


def written(page: str, block: str) -> str:
    match = pattern(block).search((REFERENCE / page).read_text())
    assert match, f"{page} has no block {block}"
    return match[0]


def rendered(block: str, text: str) -> str:
    return f"<!-- {block} -->\n\n{text}\n\n<!-- /{block} -->"


def write() -> None:
    for (page, block), make in BLOCKS.items():
        path = REFERENCE / page
        text = path.read_text().replace(written(page, block), rendered(block, make()))
        path.write_text(text)


if __name__ == "__main__":
    write()
