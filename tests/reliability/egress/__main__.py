"""Whom does the service contact, and where do the words of its callers end up?

    python -m tests.reliability.egress

strace follows a real process from its start to its end and lists every address that it connects
to or sends to: only those that a setting names are allowed. Keys, questions and passages hold
canary strings, which must appear in no log (of any level), metric, error, trace or process list.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.deploy.processes import free_port
from tests.reliability.egress.recorder import Recorder, recording

KEY, LLM_KEY = "canary-key-7Q2f", "canary-llm-key-8W3g"
QUERY, PASSAGE = (
    "canaryquestion how long are books lent",
    "canarypassage Books are lent for four weeks.",
)
CANARIES = ("canary-key-7Q2f", "canary-llm-key-8W3g", "canaryquestion", "canarypassage")
START_SECONDS = 300.0
ADDRESS = re.compile(
    r"(?:connect|sendto|sendmsg)\(.*?sin6?_port=htons\((\d+)\).*?"
    r'(?:inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)")'
)


@dataclass
class Outcome:
    contacted: set[tuple[str, int]] = field(default_factory=set)
    allowed: set[tuple[str, int]] = field(default_factory=set)
    texts: dict[str, str] = field(default_factory=dict)  # what was searched for canaries
    requests: int = 0

    def problems(self) -> list[str]:
        strangers = [f"contacted {host}:{port}" for host, port in self.contacted - self.allowed]
        leaks = [
            f"{canary} appears in {name}"
            for name, text in self.texts.items()
            for canary in CANARIES
            if canary in text
        ]
        unused = [f"never contacted {host}:{port}" for host, port in self.allowed - self.contacted]
        return [*strangers, *leaks, *unused]


def addresses(trace: str) -> set[tuple[str, int]]:
    matches = ADDRESS.finditer(trace)
    return {(match[2] or match[3], int(match[1])) for match in matches}


def run(folder: Path, *, model: str = "bundled") -> Outcome:
    outcome = Outcome()
    with recording() as recorder:
        outcome.allowed = {("127.0.0.1", recorder.port)}
        ingest(folder, model)
        port = free_port()
        trace, log = folder / "trace", folder / "log"
        command = ["strace", "-D", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-s", "0"]
        command += ["-o", str(trace), sys.executable, "-m", "app.cli", "serve"]
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*command, "--port", str(port)],
                env=environment(folder, recorder, model),
                stderr=stream,
            )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                wait_until_ready(client, process, log)
                outcome.texts["an error"] = exercise(client, outcome)
                outcome.texts["a metric"] = metrics(client)
            outcome.texts["the process list"] = process_list()
        finally:
            process.terminate()
            process.wait(60)
        outcome.texts["the log"] = log.read_text()
        traces = recorder.bodies.get("/v1/traces", [])
        outcome.texts["a trace"] = b"".join(traces).decode("latin-1")
        check_that_it_worked(recorder)
        outcome.contacted = addresses(trace.read_text())
    return outcome


def environment(folder: Path, recorder: Recorder, model: str) -> dict[str, str]:
    """Nothing of the machine's own but where programs are: no proxy, no offline switch."""
    ours = {
        "MODEL": model,
        "DEVICE": "cpu",
        "LOG_LEVEL": "debug",
        "API_KEYS": KEY,
        "STORE": f"sqlite:{folder / 'store.db'}",
        "LLM": f"{recorder.url}/v1#canary-free-model",
        "LLM_KEYS": LLM_KEY,
        "TRACES": "true",
        "FEEDBACK_FILE": str(folder / "feedback.jsonl"),
        "ENGINES": os.environ.get("RERANKD_ENGINES", str(folder / "engines")),
        "ENGINE": "openvino",  # converted anew: torch is at work too
    }
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "OTEL_EXPORTER_OTLP_ENDPOINT": recorder.url,
        **{f"RERANKD_{name}": value for name, value in ours.items()},
    }


def ingest(folder: Path, model: str) -> None:
    notes = folder / "notes"
    notes.mkdir()
    (notes / "rules.txt").write_text(f"{PASSAGE} The library opens at nine.")
    settings = ["--model", model, "--store", f"sqlite:{folder / 'store.db'}"]
    chunks = ["--chunk-tokens", "32", "--overlap", "0"]
    command = [sys.executable, "-m", "app.cli", "ingest", str(notes), *settings, *chunks]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def wait_until_ready(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < deadline, log.read_text()[-2000:]
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)


def exercise(client: httpx.Client, outcome: Outcome) -> str:
    """Good and bad requests to every kind of route; the text of each refusal."""
    key = {"Authorization": f"Bearer {KEY}"}
    pair = {"query": QUERY, "documents": [PASSAGE, "A river."]}
    requests: list[tuple[str, Any, dict[str, str], int]] = [
        ("/rerank", pair, key, 200),
        ("/v2/rerank", pair, key, 200),
        ("/score", {"text_1": QUERY, "text_2": PASSAGE}, key, 200),
        ("/answer", {"query": QUERY, "return_documents": True, "min_score": 0}, key, 200),
        ("/rerank", pair, {"Authorization": f"Bearer {KEY}x"}, 401),
        ("/rerank", pair | {"top_n": -1}, key, 422),
        ("/rerank", pair | {"truncate": False, "documents": [PASSAGE * 500]}, key, 422),
        ("/rerank", {"query": QUERY, "documents": [PASSAGE, {"txt": PASSAGE}]}, key, 422),
        ("/v1/rerank", {"query": QUERY, "documents": []}, key, 422),
        ("/rerank", pair | {"timeout_ms": 1, "documents": [PASSAGE * 40] * 50}, key, 504),
        ("/answer", {"query": QUERY, "filters": {"source": PASSAGE}}, key, 200),
        ("/answer", {"query": QUERY, "collection": "canary free"}, key, 422),
    ]
    refusals = []
    for path, body, headers, status in requests:
        answer = client.post(path, json=body, headers=headers)
        assert answer.status_code == status, (path, answer.status_code, answer.text)
        outcome.requests += 1
        if status != 200:
            refusals.append(answer.text)
    raw = client.post(
        "/rerank", content=f'{{"query": "{QUERY}", '.encode(), headers=key | JSON_BODY
    )
    assert raw.status_code == 400, raw.text
    return "\n".join([*refusals, raw.text])


JSON_BODY = {"Content-Type": "application/json"}


def metrics(client: httpx.Client) -> str:
    return client.get("/metrics", headers={"Authorization": f"Bearer {KEY}"}).text


def process_list() -> str:
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return b"\n".join(lines).decode("latin-1")


def check_that_it_worked(recorder: Recorder) -> None:
    """A run in which nothing was sent would find nothing."""
    prompts = b"".join(recorder.bodies.get("/v1/chat/completions", []))
    assert b"canaryquestion" in prompts
    assert b"canarypassage" in prompts
    assert recorder.bodies.get("/v1/traces"), "no trace was sent"


def main() -> int:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    ).parse_args()
    if shutil.which("strace") is None:
        print("not installed: strace (on Debian: apt-get install strace)")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(Path(folder))
    searched = ", ".join(f"{name} ({len(text)} characters)" for name, text in outcome.texts.items())
    print(
        f"egress: {outcome.requests + 1} requests, contacted {sorted(outcome.contacted)}, "
        f"allowed {sorted(outcome.allowed)}; {len(CANARIES)} canaries looked for in {searched}"
    )
    for problem in outcome.problems():
        print(f"DEFECT: {problem}")
    return 1 if outcome.problems() else 0


if __name__ == "__main__":
    sys.exit(main())
