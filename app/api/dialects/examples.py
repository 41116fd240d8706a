"""Worked examples for `/docs`; a test sends each of them."""

from __future__ import annotations

from typing import Any

from app.api.dialects.fields import DOCUMENTS, QUERY

NATIVE: dict[str, dict[str, Any]] = {
    "texts": {
        "summary": "The least: a query and some texts",
        "value": {"query": QUERY, "documents": DOCUMENTS},
    },
    "objects": {
        "summary": "Objects with ids and metadata, the best one echoed",
        "value": {
            "query": QUERY,
            "documents": [
                {"id": "hours", "text": "The library opens at nine.", "page": 3},
                {"id": "rules-7", "text": "Books are lent for four weeks.", "page": 12},
            ],
            "top_n": 1,
            "return_documents": True,
        },
    },
    "threshold": {
        "summary": "Only what is probably relevant, long documents refused",
        "value": {
            "query": QUERY,
            "documents": ["Books are lent for four weeks.", "Bananas are rich in potassium."],
            "min_score": 0.1,
            "truncate": False,
        },
    },
    "diagnostics": {
        "summary": "Where each document came from, and where the time went",
        "value": {
            "query": QUERY,
            "documents": DOCUMENTS,
            "diagnostics": True,
            "timeout_ms": 5000,
            "priority": 1,
        },
    },
}
