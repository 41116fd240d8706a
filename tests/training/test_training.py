from dataclasses import replace
from pathlib import Path

import pytest
import torch

from app.training.bundled.__main__ import load, make, save
from app.training.bundled.batches import draw_step
from app.training.bundled.choosing import choose, judge, part_way
from app.training.bundled.head import Examples, fit_head, gather, held_out, set_scale
from app.training.bundled.recipe import Recipe
from app.training.bundled.train import Trainer
from tests.training import tiny

RECIPE = Recipe(
    steps=4, warmup=1, groups=3, together=2, negatives=3, lengths=(24, 32), save_every=2, frozen=2
)


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return beginner(tmp_path)


def beginner(folder: Path) -> Trainer:
    tiny.write_base(folder)
    return Trainer(*tiny.start(folder), [tiny.source(queries=24)], RECIPE)


def test_a_step_draws_the_same_groups_every_time() -> None:
    sources = [tiny.source(), tiny.source("boats")]
    assert draw_step(sources, RECIPE, 3) == draw_step(sources, RECIPE, 3)
    assert draw_step(sources, RECIPE, 3) != draw_step(sources, RECIPE, 4)


def test_held_out_queries_are_never_drawn() -> None:
    source, recipe = tiny.source(queries=24), replace(RECIPE, held_out=8)
    kept = {group.query for _, group in held_out([source], recipe)}
    drawn = {g.query for step in range(50) for g in draw_step([source], recipe, step)[0]}
    assert kept == set(source.queries[16:])
    assert drawn == set(source.queries[:16])


def test_a_run_that_stops_and_goes_on_ends_where_it_would_have(tmp_path: Path) -> None:
    whole = beginner(tmp_path).run(tmp_path / "whole.pt")
    first = beginner(tmp_path)
    first.advance()
    first.advance()
    first.save(tmp_path / "parts.pt")
    second = beginner(tmp_path)
    joined = second.run(tmp_path / "parts.pt")
    assert second.step == RECIPE.steps
    for name, value in whole.state_dict().items():
        assert torch.equal(value, joined.state_dict()[name]), name


def test_training_moves_the_upper_layers_and_leaves_the_rest(trainer: Trainer) -> None:
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.advance()
    moved = {n for n, value in trainer.model.state_dict().items() if not value.equal(before[n])}
    assert any(name.startswith("layers.3.") for name in moved)
    assert not any(name.startswith(("word", "layers.0", "layers.1", "evidence")) for name in moved)


def test_training_learns_what_it_is_shown(trainer: Trainer) -> None:
    groups, length = draw_step(trainer.sources, RECIPE, 0)
    with torch.no_grad():
        before = trainer.loss(groups, length).item()
    for _ in range(12):
        trainer.step = 0
        trainer.advance()
    with torch.no_grad():
        assert trainer.loss(groups, length).item() < before


def test_the_fitted_head_puts_positives_first_and_above_zero(tmp_path: Path) -> None:
    tiny.write_base(tmp_path)
    model, tokenizer = tiny.start(tmp_path)
    groups = held_out([tiny.source(queries=24)], RECIPE)
    examples: Examples = gather(model, tokenizer, groups, RECIPE)
    fit_head(model, examples)
    with torch.no_grad():
        scores = model.head(examples.evidence, torch.zeros(*examples.there.shape, 32))[..., 0]
    best = scores.masked_fill(examples.there == 0, -1e4).argmax(1)
    assert (best == 0).float().mean() > 0.8
    assert (scores[:, 0] > 0).float().mean() > 0.8
    assert (model.head.line.weight >= 0).all()


def test_the_scale_makes_probabilities_and_keeps_the_order(tmp_path: Path) -> None:
    tiny.write_base(tmp_path)
    model, tokenizer = tiny.start(tmp_path)
    rows = held_out([tiny.source(queries=24)], RECIPE)
    before, there = judge(model, tokenizer, rows)
    set_scale(model, before, there)
    after, _ = judge(model, tokenizer, rows)
    assert torch.equal(after.argsort(1), before.argsort(1))
    mass = torch.where(torch.arange(after.shape[1]) > 0, 1.0, there.sum(1, keepdim=True) - 1)
    average = (after.sigmoid() * there * mass).sum() / (there * mass).sum()
    assert average == pytest.approx(0.5, abs=0.01)


def test_what_was_trained_is_kept_part_of_the_way_if_it_helps_elsewhere(tmp_path: Path) -> None:
    tiny.write_base(tmp_path)
    good, tokenizer = tiny.start(tmp_path)
    bad = part_way(good, good, 0)
    with torch.no_grad():
        bad.head.line.weight.mul_(-3)
    rows = held_out([tiny.source(queries=24)], RECIPE)
    assert choose(good, bad, 0.5, tokenizer, rows) is good
    kept = choose(bad, good, 0.8, tokenizer, rows)
    assert kept.head.line.weight[0].tolist() == pytest.approx([0.2] * 6)


def test_a_run_may_end_before_its_pace_has_died_down(tmp_path: Path) -> None:
    tiny.write_base(tmp_path)
    recipe = replace(RECIPE, stop=3)
    trainer = Trainer(*tiny.start(tmp_path), [tiny.source(queries=24)], recipe)
    trainer.run(tmp_path / "checkpoint.pt")
    assert trainer.step == 3


def test_what_is_saved_cuts_no_text(tmp_path: Path) -> None:
    tiny.write_base(tmp_path)
    model, tokenizer = tiny.start(tmp_path)
    tokenizer("river boat", truncation=True, max_length=3, padding="max_length")
    save(model, tokenizer, tmp_path / "saved")
    _, kept = load(tmp_path / "saved")
    assert len(kept("river boat lands deep")["input_ids"]) == 6


@pytest.mark.parametrize("names", [("rivers", "clapnq"), ("rivers",)])
def test_the_whole_recipe_ends_in_a_folder_that_loads(
    names: tuple[str, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tiny.write_base(tmp_path)
    save(*tiny.start(tmp_path), tmp_path / "start")
    sources = [tiny.source(name, queries=24) for name in names]
    with caplog.at_level("INFO"):
        make(tmp_path, sources, RECIPE, tmp_path, "cpu")
    assert "held-out sources: start 1.0000, trained 1.0000" in caplog.text
    model, tokenizer = load(tmp_path / "model")
    logits, _ = judge(model, tokenizer, held_out(sources, RECIPE))
    assert logits.isfinite().all()
    assert logits.shape == (12 * len(names), 17)
