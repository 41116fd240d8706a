"""The check of an image, with processes of this machine in a container's place."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.deploy.image import Program, check, of_an_engine, of_buildah, with_settings

# Takes its settings as an engine for containers does, and becomes the command behind them.
BECOMES = """
import os, sys
words = sys.argv[1:]
while words[0] == "--env":
    name, _, value = words[1].partition("=")
    os.environ[name] = value
    words = words[2:]
os.execvp(words[0], words)
"""


def uncontained(folder: Path, serve: Sequence[str]) -> Program:
    own = ("--env", f"HOME={folder}", "--env", f"RERANKD_STORE=sqlite:{folder}/store.db")
    paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run = (sys.executable, "-c", BECOMES, "{}", *own, "--env", f"PATH={paths}")
    return Program(prepare=("true",), serve=(*run, *serve), call=run, remove=("true",))


def test_a_service_that_works_passes(tmp_path: Path) -> None:
    program = uncontained(tmp_path, ("rerankd", "serve"))
    ready, engine, *lines = check(program, tmp_path / "log")
    assert ready.startswith("ready after ")
    assert engine.startswith("engine: ")
    assert lines == [
        "ranks",
        "healthy by its own check",
        "answers from what was ingested",
        "ended with exit code 0",
    ]


def test_a_service_that_ends_at_its_start_does_not_pass(tmp_path: Path) -> None:
    program = uncontained(tmp_path, ("rerankd", "serve", "--model", str(tmp_path / "nowhere")))
    with pytest.raises(AssertionError, match="it ended"):
        list(check(program, tmp_path / "log"))
    assert "nowhere" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("program", [of_an_engine("docker", "a:b"), of_buildah("a:b")])
def test_settings_come_before_the_image_or_the_command(program: Program) -> None:
    words = with_settings(program.serve, ["--env", "A=1"])
    assert "{}" not in words
    assert words.index("A=1") < min(words.index(word) for word in ("a:b", "--") if word in words)
