from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from app.engines.loading import load
from app.engines.spec import ModelSpec
from app.evaluation.data.judged import Judged
from app.evaluation.first_stage import candidates
from app.evaluation.problems import BadInput, NotMeasurable
from app.evaluation.writing import new_folder, write_bytes
from app.training.finetune.mining import MAX_POSITIVES_PER_QUERY, mine, split
from app.training.finetune.tuning import Recipe, Tuner, dataset

FOUND = {"q": ["good", "near", "far", "wrong"]}


@pytest.fixture
def judged() -> Judged:
    corpus = {name: f"text {name}" for name in ("good", "better", "near", "far", "wrong")}
    return Judged("j", {"q": "ask"}, corpus, {"q": {"good": 1, "better": 1, "wrong": 0}})


def test_a_split_is_by_query_and_whole(handbook: Judged) -> None:
    parts = split(handbook, 0.2, 0.3, seed=1)
    sides = [set(part.queries) for part in (parts.train, parts.validation, parts.test)]
    assert [len(side) for side in sides] == [22, 9, 13]
    assert set().union(*sides) == set(handbook.queries)
    assert parts == split(handbook, 0.2, 0.3, seed=1) != split(handbook, 0.2, 0.3, seed=2)


def test_a_question_that_was_asked_often_is_on_one_side_only(handbook: Judged) -> None:
    again = {f"{query}, {n}": text for n in range(3) for query, text in handbook.queries.items()}
    shouted = {query: f" {text.upper()}\n" for query, text in handbook.queries.items()}
    parts = split(replace(handbook, queries={**again, **shouted}), 0.2, 0.3, seed=1)
    once = split(handbook, 0.2, 0.3, seed=1)
    for side in ("train", "validation", "test"):
        often, single = getattr(parts, side).queries, getattr(once, side).queries
        assert len(often) == 4 * len(single)
        assert single.keys() == often.keys() & handbook.queries.keys()


def test_too_few_queries_cannot_be_split(handbook: Judged) -> None:
    with pytest.raises(
        NotMeasurable, match="9 different queries are too few; at least 10 are needed"
    ):
        split(handbook.only(range(9)), 0.2, 0.2, seed=0)
    with pytest.raises(NotMeasurable, match="leave no query to train on"):
        split(handbook, 0.5, 0.5, seed=0)


def test_negatives_that_were_given_come_first_and_none_is_relevant(judged: Judged) -> None:
    groups = mine(judged, FOUND, 2, seed=0)
    assert sorted(group.positive for group in groups) == ["text better", "text good"]
    for group in groups:
        assert group.query == "ask"
        assert group.negatives[0] == "text wrong"
        assert set(group.negatives[1:]) <= {"text near", "text far"}


def test_what_answers_the_same_question_elsewhere_is_no_negative(judged: Judged) -> None:
    other = replace(
        judged,
        queries={**judged.queries, "again": "Ask"},
        corpus={**judged.corpus, "copy": "text near"},
        grades={**judged.grades, "again": {"copy": 1}},
    )
    groups = mine(other, {**FOUND, "again": ["good", "copy", "far"]}, 9, seed=0)
    negatives = {group.positive: set(group.negatives) for group in groups}
    assert negatives["text near"] == {"text far"}
    assert negatives["text good"] == negatives["text better"] == {"text wrong", "text far"}


def test_what_the_model_puts_above_every_positive_is_left_out(judged: Judged) -> None:
    scores = {"text good": 2, "text better": 3, "text near": 4, "text far": 2.5}
    groups = mine(judged, FOUND, 9, 0, lambda _, texts: [scores[text] for text in texts])
    assert {text for group in groups for text in group.negatives} == {"text wrong", "text far"}


def test_a_query_with_many_positives_does_not_drown_the_others() -> None:
    corpus = {f"d{n}": f"text {n}" for n in range(30)}
    judged = Judged("j", {"q": "ask"}, corpus, {"q": {f"d{n}": 1 for n in range(20)}})
    assert len(mine(judged, {"q": ["d25"]}, 3, seed=0)) == MAX_POSITIVES_PER_QUERY


def test_without_any_negative_there_is_nothing_to_learn(judged: Judged) -> None:
    bare = replace(judged, grades={"q": {"good": 1}})
    with pytest.raises(NotMeasurable, match="none could be mined"):
        mine(bare, {"q": ["good"]}, 3, seed=0)


def test_the_positive_opens_each_group_and_takes_the_share(judged: Judged) -> None:
    row = dataset(mine(judged, FOUND, 3, seed=0))[0]
    assert row["documents"][0] in {"text good", "text better"}
    assert row["labels"] == [10, 0, 0, 0]


def tuned(model: Path, handbook: Judged, folder: Path) -> list[float]:
    parts = split(handbook.only(range(30)), 0.4, 0.1, seed=0)
    orders = candidates(handbook, 6, "english", own_ranks=False)
    recipe = Recipe(epochs=2, batch=4, rate=2e-2)
    tuner = Tuner(ModelSpec(str(model), device="cpu"), recipe)
    groups = mine(parts.train, orders, 3, 0, tuner.score)
    return tuner.tune(groups, parts.validation, orders, folder)


def test_the_result_is_served_and_the_best_of_its_checks_is_kept(
    small_model: Path, handbook: Judged, tmp_path: Path
) -> None:
    checks = tuned(small_model, handbook, tmp_path / "out")
    assert len(checks) >= 2
    assert not (tmp_path / "out/checkpoints").exists()
    before = load(ModelSpec(str(small_model), device="cpu")).encoder.max_tokens
    assert load(ModelSpec(str(tmp_path / "out"), device="cpu")).encoder.max_tokens == before


def test_the_same_seed_gives_the_same_weights(
    small_model: Path, handbook: Judged, tmp_path: Path
) -> None:
    checks = [tuned(small_model, handbook, tmp_path / name) for name in ("a", "b")]
    kept = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("a", "b")]
    assert checks[0] == checks[1]
    assert kept[0] == kept[1]
    assert len(set(checks[0])) > 1  # the weights did move


def test_a_folder_takes_its_name_once_it_is_whole(tmp_path: Path) -> None:
    with new_folder(tmp_path / "out") as aside:
        (aside / "file").write_text(json.dumps(1))
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out/file").exists()
    with pytest.raises(BadInput, match="already exists"), new_folder(tmp_path / "out"):
        pass


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), new_folder(tmp_path / "out") as aside:
        (aside / "nowhere/file").write_text("half")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be written"), new_folder(tmp_path / "file/out"):
        pass
    with pytest.raises(BadInput, match="cannot be written"):
        write_bytes(tmp_path / "file/inside.json", b"x")
