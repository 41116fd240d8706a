"""Calls a client four times: as it should be, with a wrong key, with a blank query, when full."""

from __future__ import annotations

import json
import sys
import traceback

TASK = json.loads(sys.argv[1])
SERVICE, FULL, KEY = TASK["service"], TASK["full"], TASK["key"]
QUERY, DOCUMENTS, MODEL = TASK["query"], TASK["documents"], TASK["model"]


def refused(call, url, key, query):
    """The class of the error and its bases, and what it says; what came back, if none did."""
    try:
        answer = call(url, key, query)
    except Exception as error:
        classes = [base.__name__ for base in type(error).__mro__[:-2]]
        return {"classes": classes, "says": str(error)[:2000]}
    return {"classes": [], "answer": repr(answer)[:200]}


def probe(call):
    """`call(url, key, query)` gives a dict of `ranks`: index, score and text, and more."""
    try:
        answer = call(SERVICE, KEY, QUERY)
    except Exception:
        return {"failed": traceback.format_exc()[-3000:]}
    return answer | {
        "401": refused(call, SERVICE, "wrong", QUERY),
        "422": refused(call, SERVICE, KEY, "  "),
        "429": refused(call, FULL, KEY, QUERY),
    }


def by_text(pairs, **more):
    """Ranks from clients that give documents back and not their places."""
    return {"ranks": [[DOCUMENTS.index(text), score, text] for text, score in pairs]} | more


def main(calls):
    wanted = TASK.get("only")
    chosen = {name: call for name, call in calls.items() if not wanted or name in wanted}
    print("RESULT " + json.dumps({name: probe(call) for name, call in chosen.items()}))
