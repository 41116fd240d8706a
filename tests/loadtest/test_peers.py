from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from loadtest import environment, peers
from loadtest.baseline import Predict
from loadtest.peers import INFINITY, OURS, PLAIN, PREDICT, Plan, Turns, Unanswered
from loadtest.service import Server
from loadtest.turns import Turn
from loadtest.workload import SHORT

TURNS: Turns = {
    "short": {
        PREDICT: [Turn(50, 30), Turn(60, 30)],
        OURS: [Turn(200, 110), Turn(240, 130)],
        INFINITY: [Turn(40, 20), Turn(40, 20)],
    }
}


def test_the_table_compares_each_with_the_yardstick_and_the_service_with_each() -> None:
    lines = str(peers.tabulate(TURNS, {OURS: 0.00123}, {})).splitlines()
    ours, theirs = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines[3:5])
    assert ours == ["rerankd", "0.0012", "220", "4.00", "1.00", "120"]
    assert theirs == [
        "Infinity",
        "0.0000",
        "40",
        "0.73 (0.67 to 0.80)",
        "5.50 (5.00 to 6.00)",
        "20",
    ]


def test_a_peer_that_did_not_start_is_named_and_the_others_go_on() -> None:
    alone = {"short": {name: TURNS["short"][name] for name in (PREDICT, OURS)}}
    lines = str(peers.tabulate(alone, {}, {INFINITY: "no such version"})).splitlines()
    assert " - " not in lines[3]
    assert lines[4].startswith("| Infinity: not measured")
    assert peers.draw(alone).axes


def test_a_peer_that_fails_a_request_is_left_out_and_the_service_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured: list[str] = []

    def fail(server: str, *_: object) -> None:
        measured.append(server)
        if server != PLAIN:
            raise Unanswered(f"{server} answered 500")

    monkeypatch.setattr(peers, "turn_of", fail)
    others: Any = {PLAIN: PLAIN, INFINITY: INFINITY}
    assert peers.warm(others, peers.QUICK) == {INFINITY: "Infinity answered 500"}
    assert measured == [PLAIN, INFINITY, PLAIN]
    with pytest.raises(Unanswered, match="rerankd answered 500"):
        peers.warm({OURS: cast("Server", OURS)}, peers.QUICK)


def test_all_are_asked_about_the_same_texts_in_a_round_and_new_ones_in_the_next() -> None:
    plan = Plan(callers=1, documents=2, seconds=1, rounds=2)
    first, again = (peers.requests_of(SHORT, 0, plan) for _ in range(2))
    assert [first(), first()] == [again(), again()]
    assert peers.requests_of(SHORT, 1, plan)() != peers.requests_of(SHORT, 0, plan)()


def test_an_environment_that_cannot_be_installed_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(environment, "HERE", tmp_path)
    (tmp_path / "requirements-odd.txt").write_text("./nowhere\n")
    with pytest.raises(environment.NotInstalled, match="nowhere"):
        environment.python_of("odd")


def test_the_plain_app_gives_the_yardsticks_scores_and_is_paused_between_its_turns(
    model: Path,
) -> None:
    plan = Plan(callers=1, documents=2, seconds=1.0, rounds=1)
    with peers.plain(model) as server:
        server.wait_until_ready()
        server.pause()
        turn = peers.turn_of(server, SHORT, plan, 0)
        assert turn.pairs_per_second > 0 < turn.pairs_per_core_second
        assert peers.differences({PLAIN: server}, Predict(model))[PLAIN] < 1e-5
        state = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        assert state == "T"
