"""Finds the dialect of a request by its path, its headers and the keys of its body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.api.dialects.dialect import Dialect, Signs


class Registry:
    """The last of the dialects must recognise every request."""

    def __init__(self, dialects: Sequence[Dialect]) -> None:
        self.dialects = dialects
        self.prefixes = {dialect.prefix: dialect for dialect in dialects if dialect.prefix}
        self._by_path = {path: dialect for dialect in dialects for path in dialect.paths}

    def choose(self, path: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> Dialect:
        """The dialect of the path prefix, or else the first that recognises the request."""
        prefix = path.removeprefix("/").partition("/")[0]
        if prefix in self.prefixes:
            return self._by_path.get(path, self.prefixes[prefix])
        sdk = headers.get("x-fern-sdk-name") or headers.get("user-agent", "")
        signs = Signs(path, sdk.lower(), body.keys())
        return next(dialect for dialect in self.dialects if dialect.recognises(signs))
