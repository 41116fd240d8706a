"""How `rerankd batch` reads a row and writes its ranking: as the body and the answer of `/rerank`.

A flag gives a field to all rows that do not have it.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self, get_args

from pydantic import ValidationError

from app.api.dialects import native
from app.api.limits import RequestLimits
from app.rerank.query import Query, Ranking, ScoreKind
from app.settings import Settings
from app.validation import as_invalid

FLAGS = (
    "top_n",
    "min_score",
    "score",
    "instruction",
    "truncate",
    "truncation_direction",
    "return_documents",
)


def add_row_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--top-n", type=int, metavar="N", help="maximum results of a row [all]")
    parser.add_argument(
        "--min-score", type=float, metavar="SCORE", help="minimum score of a result"
    )
    parser.add_argument("--score", choices=get_args(ScoreKind), help="kind of score [probability]")
    parser.add_argument("--instruction", help="instruction, for models that accept one")
    parser.add_argument(
        "--no-truncate",
        dest="truncate",
        action="store_false",
        default=None,
        help="a row with a document that is too long fails, instead of the document being cut",
    )
    parser.add_argument(
        "--truncation-direction",
        choices=("left", "right"),
        help="side of a document that is cut [right]",
    )
    parser.add_argument(
        "--return-documents",
        action="store_true",
        default=None,
        help="write each document beside its score",
    )


@dataclass(frozen=True, slots=True)
class RowFormat:
    """`options` are the fields that the flags give."""

    options: Mapping[str, Any]
    limits: RequestLimits

    @classmethod
    def of(cls, arguments: argparse.Namespace, settings: Settings) -> Self:
        flags = {name: getattr(arguments, name) for name in FLAGS}
        return cls(
            {name: value for name, value in flags.items() if value is not None},
            RequestLimits(
                body_bytes=settings.max_body_bytes,
                documents=settings.max_documents,
                document_chars=settings.max_document_chars,
                query_chars=settings.max_query_chars,
                json_values=settings.json_values,
            ),
        )

    def fingerprint(self) -> dict[str, Any]:
        """What decides how a row is read, and whether it is refused."""
        return {"rows": self.options, "limits": asdict(self.limits)}

    def parse(self, fields: Mapping[str, Any]) -> Query:
        """As the service reads a body; InvalidRequest names the field."""
        body = {**self.options, **fields}
        self.limits.check_counts(body, ("documents",))
        try:
            query = native.parse(body)
        except ValidationError as error:
            raise as_invalid(error) from error
        self.limits.check_texts(query)
        # What only a caller that waits can want.
        return replace(query, timeout=None, priority=0, diagnostics=False)

    def render(self, ranking: Ranking) -> dict[str, Any]:
        results = [
            native.render_result(ranking.query, result, rank)
            for rank, result in enumerate(ranking.results)
        ]
        row = {"results": results, "usage": native.render_usage(ranking)}
        return row | ({"warnings": list(ranking.warnings)} if ranking.warnings else {})
