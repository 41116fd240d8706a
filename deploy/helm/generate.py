"""Writes the parts of the chart that come from elsewhere (`make docs`).

- `values.schema.json`: the settings of the service with their types and limits, from the code, so
  that Helm refuses a misspelt setting before a pod does.
- `README.md`: the table of values, from the comments in `values.yaml`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from app.settings import Settings

CHART = Path(__file__).parent / "rerankd"
SCHEMA, VALUES, README = (
    CHART / name for name in ("values.schema.json", "values.yaml", "README.md")
)
# Other values of the chart determine these.
MANAGED = {"port", "model", "revision", "engines", "offline", "lame_duck_seconds"} | {
    "drain_seconds",
    "api_keys_file",
}
# The address of a store may contain a password.
ALSO_SECRET = {"store"}
KEPT = ("description", "type", "enum", "minimum", "maximum", "exclusiveMinimum", "minLength")
TABLE = re.compile(r"(<!-- values -->\n).*(<!-- /values -->)", re.DOTALL)
COMMENT = re.compile(r"\s*# (.*)")
KEY = re.compile(r"(?P<indent> *)(?P<key>\w+):(?: |$)")


class Value(NamedTuple):
    path: tuple[str, ...]
    description: str


def is_secret(annotation: object) -> bool:
    return "SecretStr" in str(annotation)


def secrets() -> list[str]:
    fields = Settings.model_fields.items()
    return sorted({name for name, field in fields if is_secret(field.annotation)} | ALSO_SECRET)


def settings() -> dict[str, Any]:
    """Schemas of the settings that a values file may contain."""
    hidden = MANAGED | (set(secrets()) - ALSO_SECRET)
    properties = Settings.model_json_schema()["properties"]
    return {name: schema_of(properties[name]) for name in sorted(properties.keys() - hidden)}


def schema_of(field: Mapping[str, Any]) -> dict[str, Any]:
    schema = {key: field[key] for key in KEPT if key in field}
    if options := [option["type"] for option in field.get("anyOf", ()) if option["type"] != "null"]:
        schema["type"] = options
    if schema.get("type") == "array":  # also as in a variable, comma-separated
        schema |= {"type": ["array", "string"], "items": {"type": "string"}}
    return schema


def schema() -> str:
    """The schema file with what is generated in it."""
    content = json.loads(SCHEMA.read_text())
    content["properties"]["settings"]["properties"] = settings()
    names = {key: {"type": "string", "minLength": 1} for key in secrets()}
    content["properties"]["keys"]["properties"]["fromSecret"]["properties"] = names
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def described(text: str) -> Iterator[Value]:
    """Keys that have a comment directly above them."""
    path: list[str] = []
    indents: list[int] = []
    comment: list[str] = []
    for line in text.splitlines():
        if match := COMMENT.fullmatch(line):
            comment.append(match[1])
        elif match := KEY.match(line):
            indent = len(match["indent"])
            while indents and indents[-1] >= indent:
                indents.pop()
                path.pop()
            indents.append(indent)
            path.append(match["key"])
            if comment:
                yield Value(tuple(path), " ".join(comment))
            comment = []
        else:
            comment = []


def default_of(path: tuple[str, ...], values: Any) -> str:
    for key in path:
        values = values[key]
    return json.dumps(values, ensure_ascii=False)


def table() -> str:
    text = VALUES.read_text()
    values = yaml.safe_load(text)
    rows = [
        f"| `{'.'.join(value.path)}` | `{default_of(value.path, values)}` | {value.description} |"
        for value in described(text)
    ]
    return "\n".join(["| value | default | meaning |", "| --- | --- | --- |", *rows])


def readme() -> str:
    return TABLE.sub(lambda match: f"{match[1]}{table()}\n{match[2]}", README.read_text())


def write() -> None:
    SCHEMA.write_text(schema())
    README.write_text(readme())


if __name__ == "__main__":
    write()
