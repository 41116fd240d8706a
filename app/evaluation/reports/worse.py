"""The queries that became worse with reranking, as Markdown."""

from __future__ import annotations

from app.evaluation.data.judged import Judged
from app.evaluation.study import Study

MAX_QUERIES_SHOWN = 100
EXCERPT = 300


def worse(judged: Judged, study: Study) -> str:
    losers = study.worse
    lines = [f"# {len(losers)} of {study.queries} queries became worse by {study.main}", ""]
    if len(losers) > MAX_QUERIES_SHOWN:
        lines += [f"The {MAX_QUERIES_SHOWN} queries with the largest losses:", ""]
    for query in losers[:MAX_QUERIES_SHOWN]:
        lines += section(judged, study, query)
    return "\n".join(lines)


def section(judged: Judged, study: Study, query: str) -> list[str]:
    """The relevant documents, their ranks, and the document that is now first."""
    index = study.before.queries.index(query)
    before, after = (side.values[study.main][index] for side in (study.before, study.after))
    lines = [f"## {judged.queries[query]}", "", f"{query}: {before:.3f} → {after:.3f}", ""]
    lines += [
        f"- relevant, rank {move.before} → {move.after}: {excerpt(judged, move.document)}"
        for move in study.moves
        if move.query == query
    ]
    first = study.reranked[query][0]
    if first not in judged.relevant(query):
        lines.append(f"- now first: {excerpt(judged, first)}")
    return [*lines, ""]


def excerpt(judged: Judged, document: str) -> str:
    text = " ".join(judged.corpus[document].split())
    return f"`{document}` {text if len(text) <= EXCERPT else text[:EXCERPT] + '…'}"
