"""A report in one self-contained HTML file."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape

from app.evaluation.reports.table import HEADINGS, LEFT_ALIGNED_COLUMNS, cells
from app.evaluation.sweep import Point

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
img { max-width: 100%; height: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .75rem; text-align: right; border-bottom: 1px solid #8884 }
.text { text-align: left }
@media (prefers-color-scheme: dark) { body { background: #16181c; color: #e6e6e6 } }
"""


def sweep_page(
    data: str, queries: int, advice: Sequence[str], points: Sequence[Point], picture: bytes
) -> str:
    title = f"Reranking {escape(data)}: quality against latency"
    sentences = "".join(f"<p>{escape(sentence)}</p>\n" for sentence in advice)
    source = f"data:image/png;base64,{b64encode(picture).decode()}"
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n<h1>{title}</h1>\n"
        f"<p>{queries} queries.</p>\n{sentences}"
        f'<img src="{source}" alt="nDCG by milliseconds per query; the table has the values">\n'
        f"{table(points)}</html>\n"
    )


def table(points: Sequence[Point]) -> str:
    head = row("th", HEADINGS)
    body = "".join(row("td", cells(point)) for point in points)
    return f"<table>\n<thead>{head}</thead>\n<tbody>\n{body}</tbody>\n</table>\n"


def row(tag: str, texts: Sequence[str]) -> str:
    marked = "".join(
        f'<{tag} class="text">{escape(text)}</{tag}>'
        if column in LEFT_ALIGNED_COLUMNS
        else f"<{tag}>{escape(text)}</{tag}>"
        for column, text in enumerate(texts)
    )
    return f"<tr>{marked}</tr>\n"
