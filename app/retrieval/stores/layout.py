"""Which fields of a store's documents hold a passage, its vector and its metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from app.errors import LoadFailed, UpstreamFailed
from app.retrieval.endpoint import as_candidate, as_mapping, as_number, find
from app.retrieval.store import Candidate


class Layout(NamedTuple):
    """If `metadata` is empty, all fields but the text are metadata, and `text` may be a path."""

    text: str
    metadata: str
    vector: str

    def path(self, name: str) -> str:
        return f"{self.metadata}.{name}" if self.metadata else name

    def facts(self, fields: Any) -> Mapping[str, Any]:
        document = as_mapping(fields)
        return as_mapping(document.get(self.metadata)) if self.metadata else document

    def candidate(self, name: Any, fields: Any, score: Any) -> Candidate | None:
        own = {key: value for key, value in self.facts(fields).items() if key != self.text}
        text = find(as_mapping(fields), self.text)
        return as_candidate(name, text, own, as_number(score))

    def fields(self, store: str, chunk: Candidate, more: Mapping[str, Any]) -> dict[str, Any]:
        """The chunk as a document, with `more` fields of the store."""
        own = {self.text: chunk.text, **more}
        if self.metadata:
            return {**own, self.metadata: dict(chunk.metadata)}
        taken = sorted(own.keys() & chunk.metadata.keys())
        if taken:
            raise UpstreamFailed(
                f"{store} does not keep metadata in the field {taken[0]}, which has another use: "
                "give metadata their own field with ?metadata=",
                upstream=store,
            )
        return {**chunk.metadata, **own}


def layout_of(options: Mapping[str, str]) -> Layout:
    return Layout(
        options.get("text", "text"), options.get("metadata", ""), options.get("vector", "")
    )


def layout_to_fill(options: Mapping[str, str]) -> Layout:
    layout = layout_of(options)
    names = [layout.text, *filter(None, (layout.metadata, layout.vector))]
    if not layout.text or len({*names}) < len(names) or any("." in name for name in names):
        raise LoadFailed(
            "setting store: where chunks are written, ?text=, ?metadata= and ?vector= name "
            "different fields, and no paths with dots"
        )
    return layout
