"""The service with an engine that costs nothing."""

from __future__ import annotations

from loadtest import frontend, service
from loadtest.frontend import Load, Plan
from loadtest.workload import SHORT, Texts


def test_the_free_engine_answers_through_the_whole_service() -> None:
    with service.rerankd(program="loadtest.free_engine") as server:
        server.wait_until_ready()
        card = service.info(server.url)
        assert (card["engine"], card["choosing_engine"]) == ("free", False)
        turn = frontend.turn_of(server, Load(callers=2, documents=5), Plan(0.2, 1), 1)
    assert turn.pairs_per_second > 0
    table = str(frontend.tabulate({"2 callers x 5 documents": [turn, turn]}, tokenizer=1_000))
    assert f"{turn.pairs_per_second:.0f}" in table
    assert "the tokenizer alone" in table


def test_a_turn_has_requests_of_its_own() -> None:
    first, second = (Texts(SHORT, seed=number).request(5) for number in (1, 2))
    assert first.body != second.body
