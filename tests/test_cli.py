from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli import COMMANDS, main
from app.commands.flags import is_secret
from app.commands.serving import warn_if_reachable
from app.server.listening import listen
from app.settings import Settings


@pytest.fixture
def candidates(tmp_path: Path) -> Path:
    file = tmp_path / "candidates.txt"
    file.write_text(
        "The library opens at nine.\n"
        "\n"
        '{"text": "You may keep a book for four weeks.", "id": 7}\n'
        "Paris is the capital of France.\n"
    )
    return file


def test_candidates_are_ranked_in_a_table(
    candidates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rerank", "how long may I keep a book", str(candidates)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["rank", "score", "given", "document"]
    assert lines[1].split()[0] == "1"
    assert lines[1].endswith("You may keep a book for four weeks.")
    assert len(lines) == 4


def test_candidates_come_from_standard_input_and_go_out_as_json(
    candidates: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(candidates.read_bytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["rerank", "how long may I keep a book", "--json", "--top-n", "1"]) == 0
    answer = json.loads(capsys.readouterr().out)
    (best,) = answer["results"]
    assert (best["index"], best["id"]) == (1, 7)
    assert best["document"]["text"] == "You may keep a book for four weeks."


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"good\n{not json\n", "line 2: not valid JSON"),
        (b"\n\n", "contains no candidate"),
        (b"\xff\xfe", "cannot be read as text"),
        (b'{"id": 1}\n', "documents[0].text"),
    ],
)
def test_bad_candidates_are_named_by_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, says: str
) -> None:
    file = tmp_path / "bad.txt"
    file.write_bytes(content)
    with pytest.raises(SystemExit) as ended:
        main(["rerank", "q", str(file)])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_each_setting_is_a_flag_of_serve(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    shown = capsys.readouterr().out
    for name in Settings.model_fields:
        assert (f"--{name.replace('_', '-')} " in shown) != is_secret(name)


def secrets() -> list[str]:
    """By their type; a URL need not hold a password, and may be a flag."""
    typed = [
        name for name, it in Settings.model_fields.items() if "SecretStr" in str(it.annotation)
    ]
    return [name for name in typed if name not in {"store", "shared"}]


@pytest.mark.parametrize("name", secrets())
@pytest.mark.parametrize("glue", [" ", "="])
def test_a_key_as_a_flag_is_refused_and_not_repeated(
    capsys: pytest.CaptureFixture[str], name: str, glue: str
) -> None:
    flag = f"--{name.replace('_', '-')}"
    with pytest.raises(SystemExit) as ended:
        main(["serve", *f"{flag}{glue}hunter2".split(" ")])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        f"rerankd: {flag} would show a key in the process list: "
        f"set RERANKD_{name.upper()} instead\n"
    )


def test_every_secret_is_known_by_its_name() -> None:
    assert [name for name in Settings.model_fields if is_secret(name)] == secrets()


@pytest.mark.parametrize(("address", "warned"), [("127.0.0.1", 0), ("0.0.0.0", 1), ("::1", 0)])
def test_a_service_that_others_can_reach_without_a_key_says_so(
    caplog: pytest.LogCaptureFixture, address: str, warned: int
) -> None:
    with listen(address, 0) as listener:
        warn_if_reachable(listener)
    warnings = [record for record in caplog.records if record.getMessage() == "no_api_keys"]
    assert [record.__dict__["fields"]["address"] for record in warnings] == [address] * warned


def test_help_lists_every_command_and_loads_none_of_them() -> None:
    code = "import sys; from app.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'fastapi', 'pydantic'} & set(sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(f"    {name}" in ended.stdout for name in COMMANDS)


def test_an_answer_is_sent_at_once_and_not_when_the_caller_acknowledges_its_head() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
