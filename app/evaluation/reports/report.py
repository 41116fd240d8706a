"""The report of a study, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.evaluation.data.judged import Judged, Orders
from app.evaluation.reports.verdict import verdict
from app.evaluation.reports.worse import worse
from app.evaluation.study import Move, Study
from app.evaluation.writing import write_bytes, write_json


def as_json(study: Study) -> dict[str, Any]:
    return {
        "data": study.data,
        "model": study.model,
        "queries": study.queries,
        "initial_k": study.initial_k,
        "k": study.k,
        "verdict": verdict(study),
        "measures": {
            name: {
                "before": study.before.mean(name),
                "after": study.after.mean(name),
                "difference": change.mean,
                "low": change.low,
                "high": change.high,
            }
            for name, change in study.differences.items()
        },
        "latency_ms": asdict(study.latency),
        "queries_better": study.better,
        "queries_worse": len(study.worse),
        "relevant_documents": summary(study),
    }


def summary(study: Study) -> dict[str, Any]:
    """How the ranks of the relevant candidates changed."""
    moves = study.moves
    return {
        "found": len(moves),
        "up": sum(move.places > 0 for move in moves),
        "same": sum(move.places == 0 for move in moves),
        "down": sum(move.places < 0 for move in moves),
        "into_top_k": sum(move.after <= study.k < move.before for move in moves),
        "out_of_top_k": sum(move.before <= study.k < move.after for move in moves),
        "mean_places_won": sum(move.places for move in moves) / len(moves) if moves else 0.0,
    }


def as_text(study: Study) -> str:
    lines = [f"{'':12}{'first stage':>12}{'reranked':>10}{'difference':>12}   95% interval"]
    for name, change in study.differences.items():
        before, after = study.before.mean(name), study.after.mean(name)
        lines.append(
            f"{name:12}{before:12.4f}{after:10.4f}{change.mean:+12.4f}"
            f"   {change.low:+.4f} to {change.high:+.4f}"
        )
    moved, time = summary(study), study.latency
    fate = (
        f"relevant documents among the candidates: {moved['found']}; {moved['up']} went up, "
        f"{moved['down']} down, {moved['into_top_k']} into the top {study.k}, "
        f"{moved['out_of_top_k']} out of it"
    )
    lines += [
        "",
        fate,
        f"queries: {study.queries}; {study.better} became better, {len(study.worse)} worse",
        f"milliseconds per query: p50 {time.p50:.1f}, p95 {time.p95:.1f}, p99 {time.p99:.1f}",
        "",
        verdict(study),
    ]
    return "\n".join(lines)


def write_report(folder: Path, judged: Judged, study: Study) -> None:
    """report.json, worse.md to read, ranks.tsv, and both orders in TREC's run format."""
    write_bytes(folder / "worse.md", worse(judged, study).encode())
    write_bytes(folder / "ranks.tsv", ranks(study.moves).encode())
    write_bytes(folder / "first.run", trec(study.first, "first").encode())
    write_bytes(folder / "reranked.run", trec(study.reranked, "reranked").encode())
    write_json(folder / "report.json", {**as_json(study), "per_query": per_query(study)})


def per_query(study: Study) -> dict[str, dict[str, dict[str, float]]]:
    return {
        query: {
            name: {
                "before": float(study.before.values[name][index]),
                "after": float(study.after.values[name][index]),
            }
            for name in study.before.values
        }
        for index, query in enumerate(study.before.queries)
    }


def ranks(moves: Sequence[Move]) -> str:
    rows = ["query\tdocument\tbefore\tafter\tplaces won"]
    rows += [f"{m.query}\t{m.document}\t{m.before}\t{m.after}\t{m.places}" for m in moves]
    return "\n".join(rows) + "\n"


def trec(orders: Orders, tag: str) -> str:
    rows = [
        f"{query} Q0 {document} {rank} {len(order) - rank + 1} {tag}"
        for query, order in orders.items()
        for rank, document in enumerate(order, 1)
    ]
    return "\n".join(rows) + "\n"
