"""The short form: a few of the kills, failed calls and stops, and all of the mutants.

The long form is `python -m tests.reliability.crash`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import chain

import pytest

from tests.reliability.crash.__main__ import Kinds, drawn, main, scratch
from tests.reliability.crash.faults import each_fault, fail
from tests.reliability.crash.kills import Killing, Tally
from tests.reliability.crash.mutants import MUTANTS
from tests.reliability.crash.replay import Disk, Loss, crashes
from tests.reliability.crash.shim import Call, Fault, Mode, NoCompiler, compiled
from tests.reliability.crash.subject import Torn
from tests.reliability.crash.subjects import FORKED
from tests.reliability.crash.workers import Workers, workers

STRIDES = {"ingest": 17, "converted": 23, "trained": 19, "fit": 7, "feedback": 5, "budget": 7}


@pytest.fixture(scope="module")
def preloaded() -> Iterator[Workers]:
    with scratch() as folder:
        try:
            library = compiled(folder)
        except NoCompiler as error:
            pytest.skip(str(error))
        with workers(folder / "workers", library) as ready:
            yield ready


@pytest.fixture
def sound(preloaded: Workers) -> Workers:
    preloaded.mutant = ""
    return preloaded


@pytest.mark.parametrize("mode", list(Mode), ids=lambda mode: mode.name)
@pytest.mark.parametrize("subject", FORKED)
def test_a_call_that_fails_tears_nothing_and_work_goes_on(
    sound: Workers, subject: str, mode: Mode
) -> None:
    assert sum(1 for _ in each_fault(sound, subject, mode, STRIDES[subject])) > 3


@pytest.mark.parametrize("subject", FORKED)
def test_a_machine_that_stops_loses_no_more_than_the_last_step(
    sound: Workers, subject: str
) -> None:
    assert sum(1 for _ in crashes(sound, subject, STRIDES[subject])) > 3


@pytest.mark.parametrize("subject", FORKED)
def test_a_process_that_is_killed_loses_no_more_than_the_last_step(
    sound: Workers, subject: str
) -> None:
    tally = Tally()
    killing = Killing(sound, f"long {subject}", tally)
    for seed in range(4):
        killing.kill(seed)
    assert tally.worst <= 1


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_program_with_a_fault_is_found_out(preloaded: Workers, mutant: str) -> None:
    preloaded.mutant = mutant
    subject = MUTANTS[mutant].subject
    trials = chain(
        crashes(preloaded, subject, stride=9 if subject == "ingest" else 1),
        *(each_fault(preloaded, subject, mode) for mode in (Mode.SHORT, Mode.ONCE, Mode.FULL)),
    )
    with pytest.raises(Torn, match=f"^{subject}, (call|stopped after)"):
        for _ in trials:
            pass


def test_a_call_beyond_the_last_leaves_a_run_untouched(sound: Workers) -> None:
    assert not fail(sound, "fit", Fault(1_000))


def test_of_a_failure_the_seed_is_told_that_does_it_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def tear(seed: int) -> None:
        if seed == 8:
            raise Torn("torn")

    monkeypatch.setattr(Kinds, "killing", lambda *_: tear)
    arguments = ["--count", "9", "--only", "fit", "--kills-only", "--seed"]
    assert main([*arguments, "1"]) == 1
    output = capsys.readouterr().out
    assert output == "crash: FAILED: --seed 8 --count 1 --only 'fit' --kills-only: torn\n"
    assert main(["--seed", "8", "--count", "1", "--only", "fit", "--kills-only"]) == 1
    assert capsys.readouterr().out == output


def test_the_line_for_the_report_says_what_was_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def killing(kinds: Kinds, name: str) -> Callable[[int], None]:
        def kill(seed: int) -> None:
            kinds.tally.kills += seed % 2  # every other run ends before its moment

        return kill

    monkeypatch.setattr(Kinds, "killing", killing)
    assert main(["--count", "2", "--only", "fit", "--kills-only"]) == 0
    line = r"crash: seed 1, kills 2, promised steps lost 0 .* torn files 0, \d+ s\n"
    assert re.fullmatch(line, capsys.readouterr().out)


def test_runs_that_can_never_be_killed_are_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Kinds, "killing", lambda *_: lambda seed: None)
    assert main(["--count", "2", "--only", "fit", "--kills-only"]) == 1
    assert "40 runs gave 0 kills" in capsys.readouterr().out


def test_what_is_killed_is_drawn_by_the_seed_and_everything_comes_up() -> None:
    names = [drawn(seed) for seed in range(300)]
    assert names == [drawn(seed) for seed in range(300)]
    assert {*names} == {*FORKED, "ingest command", "optimize command", "serve command"}


def test_a_folder_that_was_renamed_keeps_what_was_synced_in_it() -> None:
    disk = calls(("C", "/new/a"), ("W", "/new/a", b"text"), ("S", "/new/a"), ("S", "/new"))
    disk.apply(Call("R", 0, "/root/new", b"/root/old"))
    assert disk.after(Loss.NAMES) == {"/root/new/a": b"text"}
    disk.apply(Call("S", 0, "/root", b""))
    assert disk.after(Loss.NAMES) == {"/root/old/a": b"text"}


def calls(*several: tuple[str, str] | tuple[str, str, bytes] | tuple[str, str, bytes, int]) -> Disk:
    disk = Disk("/root")
    for kind, path, *more in several:
        data = more[0] if more else b""
        number = more[1] if len(more) > 1 else 0
        disk.apply(Call(kind, number, f"/root{path}", data))  # type: ignore[arg-type]
    return disk


def test_unsynced_data_is_lost_and_a_rename_does_not_wait_for_them() -> None:
    disk = calls(("C", "/a.new"), ("W", "/a.new", b"text"), ("R", "/a.new", b"/root/a"))
    assert disk.after(Loss.DATA) == {"/root/a": b""}
    assert disk.after(Loss.NAMES) == {}
    assert disk.after(Loss.TAIL) == {"/root/a": b"te"}


def test_what_was_synced_stays_and_a_name_once_its_folder_was() -> None:
    disk = calls(("C", "/a"), ("W", "/a", b"text"), ("S", "/a"), ("W", "/a", b"more", 4))
    assert disk.after(Loss.DATA) == {"/root/a": b"text"}
    assert disk.after(Loss.NAMES) == {}
    disk.apply(Call("S", 0, "/root", b""))
    assert disk.after(Loss.NAMES) == {"/root/a": b"text"}
    assert disk.after(Loss.TAIL) == {"/root/a": b"textmo"}
    disk.apply(Call("U", 0, "/root/a", b""))
    assert disk.after(Loss.DATA) == {}
    assert disk.after(Loss.NAMES) == {"/root/a": b"text"}
