"""`helm test`: the service ranks the passage that answers first, and refuses what it should.

    python rank_known_pair.py URL [FILE OF API KEYS]

It runs in the image of the service, and uses nothing but Python itself.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

QUERY = "how long may I keep a library book"
ANSWER = "Books are lent for four weeks, and a loan can be renewed twice at the desk."
OTHER = "The Danube rises in the Black Forest and flows through Vienna."
TIMEOUT_SECONDS = 60


def first_key(file: str) -> str:
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    return next(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def post(url: str, key: str | None) -> list[dict[str, float]]:
    headers = {"Content-Type": "application/json"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    body = json.dumps({"query": QUERY, "documents": [OTHER, ANSWER]}).encode()
    request = urllib.request.Request(f"{url}/rerank", body, headers)  # noqa: S310
    # No proxy: the service is in the cluster.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
        results: list[dict[str, float]] = json.load(response)["results"]
    return results


def check(url: str, key: str | None) -> str:
    """An empty text, or what is wrong."""
    if key is not None:
        try:
            post(url, None)
        except urllib.error.HTTPError as error:
            if error.code != 401:
                return f"a request without a key got {error.code} instead of 401"
        else:
            return "a request without a key was answered, although there are keys"
    try:
        results = post(url, key)
    except urllib.error.HTTPError as error:
        return f"POST /rerank: {error.code} {error.read(1000).decode(errors='replace')}"
    except OSError as error:
        return f"POST /rerank: {error}"
    order = [result["index"] for result in results]
    return "" if order == [1, 0] else f"the passage that answers is not first: {results}"


def main() -> int:
    url, *files = sys.argv[1:]
    problem = check(url, first_key(files[0]) if files else None)
    print(problem or f"{url} ranks the passage that answers first")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
