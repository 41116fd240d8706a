"""What a cluster would refuse in a manifest, by the JSON schemas of its version."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import jsonschema_rs

CRDS = Path(__file__).parent / "crds"
OLDEST, NEWEST = "1.29.0", "1.37.0"
Manifest = dict[str, Any]


class Schemas:
    """Strict schemas: a field that Kubernetes does not know is an error."""

    def __init__(self, package: Path) -> None:
        self._package = ZipFile(package)

    def problems(self, manifest: Manifest, version: str) -> list[str]:
        validator = self._validator(manifest["apiVersion"], manifest["kind"], version)
        name = f"{manifest['kind']}/{manifest['metadata']['name']}"
        return [
            f"{name} {'.'.join(map(str, error.instance_path))}: {error.message}"
            for error in validator.iter_errors(manifest)
        ]

    @cache  # noqa: B019 (a session has one object)
    def _validator(self, api_version: str, kind: str, version: str) -> jsonschema_rs.Validator:
        own = CRDS / f"{kind.lower()}.json"
        if own.is_file():
            return jsonschema_rs.validator_for(json.loads(own.read_text()))
        group, _, name = api_version.rpartition("/")
        prefix = f"{group.partition('.')[0]}-" if group else ""
        schema = self._read(version, f"{kind.lower()}-{prefix}{name}.json")
        return jsonschema_rs.validator_for(
            schema | {"$schema": "http://json-schema.org/draft-07/schema#"},
            registry=self._registry(version),
            base_uri="https://kubernetes.test/",
        )

    @cache  # noqa: B019
    def _registry(self, version: str) -> jsonschema_rs.Registry:
        definitions = self._read(version, "_definitions.json")
        return jsonschema_rs.Registry([("https://kubernetes.test/_definitions.json", definitions)])

    def _read(self, version: str, name: str) -> Any:
        folder = f"kubernetes_validate/kubernetes-json-schema/v{version}-local-strict"
        return json.loads(self._package.read(f"{folder}/{name}"))
