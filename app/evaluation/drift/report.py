"""The comparison of two periods, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.evaluation.drift.judging import EXIT_CODES, Finding, State, jensen_shannon
from app.evaluation.drift.quantity import Pair
from app.evaluation.drift.study import DriftStudy, Facts
from app.evaluation.drift.times import shown
from app.evaluation.measures.clusters import MIN_CLUSTERS, Clusters

HOUR = 3600
WORDS: Mapping[State, str] = {
    "steady": "steady",
    "better": "better",
    "shifted": "shifted",
    "worse": "worse",
    "too_little_data": "too little data",
}
HEADINGS = ("", "before", "after", "change", "95% interval", "shift", "chance", "p", "verdict")
NONE = "-"
Cells = tuple[str, ...]


def as_json(study: DriftStudy) -> dict[str, Any]:
    limits = study.limits
    return {
        "verdict": study.state,
        "exit_code": EXIT_CODES[study.state],
        "sentence": verdict(study),
        "warnings": study.warnings,
        "before": facts_as_json(study.before),
        "after": facts_as_json(study.after),
        "limits": {
            "alpha": limits.alpha,
            "min_shift": limits.shift,
            "min_share": limits.share,
            "min_loss": limits.loss,
            "block_seconds": study.block,
        },
        "quantities": [finding_as_json(finding) for finding in study.findings],
    }


def facts_as_json(facts: Facts) -> dict[str, Any]:
    return {
        "from": None if facts.start is None else shown(facts.start),
        "to": None if facts.end is None else shown(facts.end),
        "requests": facts.requests,
        "judged_answers": facts.judged,
        "candidates_per_request": facts.documents,
        "models": facts.models,
        "settings": {name: sorted(values) for name, values in sorted(facts.settings.items())},
    }


def finding_as_json(finding: Finding) -> dict[str, Any]:
    quantity, change, mean = finding.quantity, finding.change, finding.mean
    before, after = quantity.means
    row: dict[str, Any] = {
        "name": quantity.name,
        "verdict": finding.state,
        "decides": quantity.decides,
        "unit": quantity.unit,
        "clusters": {"before": before.count, "after": after.count},
        "members": {"before": round(before.members), "after": round(after.members)},
        "mean": {"before": mean_of(before), "after": mean_of(after)},
        "quantiles": {
            name: {"before": old, "after": new} for name, (old, new) in quantity.quantiles.items()
        },
        "limit": finding.limit,
    }
    if change is None or mean is None:
        return row
    row |= {
        "change": float(mean.differences[0]),
        "low": mean.low,
        "high": mean.high,
        "chance": change.chance,
        "p": finding.p,
    }
    if quantity.shares is not None:
        row["shift"] = shift_as_json(finding, quantity.shares, change.largest)
    return row


def shift_as_json(finding: Finding, shares: Pair, column: int) -> dict[str, Any]:
    before, after = shares.before.means, shares.after.means
    return {
        "kolmogorov_smirnov": finding.size,
        "at": float(finding.quantity.edges[column]),
        "share_at_or_below": {"before": float(before[column]), "after": float(after[column])},
        "jensen_shannon": jensen_shannon(before, after),
    }


def mean_of(clusters: Clusters) -> float | None:
    return float(clusters.means[0]) if clusters.count else None


def as_text(study: DriftStudy) -> str:
    rows = [HEADINGS, *(cells(finding) for finding in study.findings)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    last = len(HEADINGS) - 1
    lines = [f"before: {described(study.before)}", f"after:  {described(study.after)}", ""]
    lines += [
        "  ".join(
            cell.ljust(width) if column in (0, last) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    details = [sentence for finding in study.findings if (sentence := detail(finding))]
    warnings = [f"Note: {warning}." for warning in study.warnings]
    return "\n".join([*lines, "", *details, *warnings, verdict(study)])


def described(facts: Facts) -> str:
    parts = []
    if facts.start is not None and facts.end is not None:
        parts.append(f"{shown(facts.start)} to {shown(facts.end)} UTC")
    parts.append(f"{facts.requests} requests")
    if facts.judged:
        parts.append(f"{facts.judged} judged answers")
    if facts.models:
        parts.append(", ".join(facts.models))
    return "; ".join(parts)


def cells(finding: Finding) -> Cells:
    quantity, change, mean = finding.quantity, finding.change, finding.mean
    means = [mean_of(clusters) for clusters in quantity.means]
    shown_means = tuple(NONE if value is None else f"{value:.3f}" for value in means)
    word = WORDS[finding.state] if quantity.decides else NONE
    if change is None or mean is None:
        return (quantity.title, *shown_means, NONE, NONE, NONE, NONE, NONE, word)
    return (
        quantity.title,
        *shown_means,
        f"{mean.differences[0]:+.3f}",
        f"{mean.low:+.3f} to {mean.high:+.3f}",
        NONE if quantity.shares is None else f"{finding.size:.3f}",
        f"{change.chance:.3f}",
        f"{finding.p:.4f}",
        word,
    )


def detail(finding: Finding) -> str:
    """Where a distribution has moved most, or what is missing."""
    quantity, change = finding.quantity, finding.change
    if change is None:
        counts = f"{quantity.means.before.count} before, {quantity.means.after.count} after"
        unit = "blocks with requests" if quantity.unit == "block" else "different questions"
        return f"{quantity.title}: {counts} {unit}; {MIN_CLUSTERS} are needed in each period."
    if finding.state == "too_little_data" and quantity.decides:
        return (
            f"{quantity.title}: chance alone makes changes of up to {change.chance:.3f}, "
            f"so one of {finding.limit:g} could not be seen for certain."
        )
    if quantity.shares is None:
        return ""
    column = change.largest
    old, new = (float(clusters.means[column]) for clusters in quantity.shares)
    return (
        f"{quantity.title}: {old:.1%} were at or below {quantity.edges[column]:.3g} before, "
        f"{new:.1%} after."
    )


def verdict(study: DriftStudy) -> str:
    """One sentence that names the quantities by their states."""
    groups: dict[State, list[str]] = {}
    for finding in study.findings:
        if finding.quantity.decides:
            groups.setdefault(finding.state, []).append(finding.quantity.title)
    order: Sequence[State] = ("worse", "shifted", "better", "steady", "too_little_data")
    parts = [f"{WORDS[state]}: {', '.join(groups[state])}" for state in order if state in groups]
    word = WORDS[study.state]
    return f"{word[0].upper()}{word[1:]} ({'; '.join(parts) or 'nothing to compare'})."
