"""An image of rerankd from its start to its end, as its users run it.

python -m tests.deploy.image IMAGE                      with Docker
python -m tests.deploy.image IMAGE --program buildah    where no engine for containers can run
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.deploy.processes import answers, free_port, until
from tests.deploy.test_image import health_check

NAME = "rerankd-checked"
KEY, ADMIN_KEY = "key-of-the-check", "admin-key-of-the-check"
START_SECONDS, END_SECONDS = 180.0, 60.0
DOCUMENTS = ["The library opens at nine.", "Books are lent for four weeks."]
# The image's HOME is /tmp.
INGEST = (
    f"mkdir $HOME/books && echo '{DOCUMENTS[1]}' > $HOME/books/a.txt && rerankd ingest $HOME/books"
)


class Program(NamedTuple):
    """Commands that what runs in the container follows; `{}` is where the settings are."""

    prepare: Sequence[str]
    serve: Sequence[str]
    call: Sequence[str]
    remove: Sequence[str]


def of_an_engine(name: str, image: str) -> Program:
    locked = ("--read-only", "--tmpfs", "/tmp", "--volume", "/data", "--cap-drop", "ALL")
    return Program(
        prepare=(name, "image", "inspect", "--format", "{{.Id}}", image),
        serve=(name, "run", "--name", NAME, "--network", "host", *locked, "{}", image),
        call=(name, "exec", NAME),
        remove=(name, "rm", "--force", "--volumes", NAME),
    )


def of_buildah(image: str) -> Program:
    run = ("buildah", "run", "--isolation", "chroot", "{}", NAME, "--")
    return Program(
        prepare=("buildah", "from", "--name", NAME, image),
        serve=(*run, "rerankd", "serve"),
        call=run,
        remove=("buildah", "rm", NAME),
    )


def with_settings(command: Sequence[str], settings: Sequence[str]) -> list[str]:
    parts = [settings if part == "{}" else [part] for part in command]
    return [word for part in parts for word in part]


@contextmanager
def serving(
    program: Program, settings: Sequence[str], log: Path
) -> Iterator[subprocess.Popen[str]]:
    subprocess.run(program.prepare, stdout=subprocess.DEVNULL, check=True)
    try:
        command = with_settings(program.serve, settings)
        with (
            log.open("w") as output,
            subprocess.Popen(command, stdout=output, stderr=output, text=True) as process,
        ):
            try:
                yield process
            finally:
                process.kill()
    finally:
        subprocess.run(program.remove, stdout=subprocess.DEVNULL, check=True)


def check(program: Program, log: Path) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        "RERANKD_PORT": str(port),
        "RERANKD_API_KEYS": KEY,
        "RERANKD_ADMIN_KEY": ADMIN_KEY,
        "RERANKD_LAME_DUCK_SECONDS": "0",
    }
    settings = [
        word for name, value in environment.items() for word in ("--env", f"{name}={value}")
    ]
    call = with_settings(program.call, settings)
    with (
        serving(program, settings, log) as process,
        httpx.Client(base_url=url, headers={"X-API-Key": KEY}, timeout=60) as client,
    ):
        started = time.monotonic()
        until(
            lambda: process.poll() is not None or answers(f"{url}/readyz"), "ready", START_SECONDS
        )
        assert process.poll() is None, "it ended"
        yield f"ready after {time.monotonic() - started:.1f} s"
        info = client.get("/info").raise_for_status().json()
        yield f"engine: {info['engine']}"
        body = {"query": "how long may I keep the book", "documents": DOCUMENTS}
        results = client.post("/rerank", json=body).raise_for_status().json()["results"]
        assert [result["index"] for result in results] == [1, 0], results
        yield "ranks"
        subprocess.run([*call, *health_check()], check=True)
        yield "healthy by its own check"
        subprocess.run([*call, "sh", "-c", INGEST], stdout=subprocess.DEVNULL, check=True)
        answer = client.post("/answer", json={"query": body["query"]}).raise_for_status().json()
        assert DOCUMENTS[1] in answer["answer"], answer
        yield "answers from what was ingested"
        client.post("/drain", headers={"X-API-Key": ADMIN_KEY}).raise_for_status()
        assert process.wait(END_SECONDS) == 0
        yield "ended with exit code 0"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("image")
    parser.add_argument("--program", choices=("docker", "podman", "buildah"), default="docker")
    options = parser.parse_args()
    buildah = options.program == "buildah"
    program = of_buildah(options.image) if buildah else of_an_engine(options.program, options.image)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        log.touch()
        try:
            for line in check(program, log):
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()
        except (AssertionError, httpx.HTTPError, subprocess.SubprocessError) as error:
            sys.stderr.write(f"{error}\n{log.read_text()}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
