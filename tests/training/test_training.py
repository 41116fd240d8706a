from dataclasses import replace
from pathlib import Path

import pytest
import torch

from app.training.batches import draw_step
from app.training.head import Examples, fit_head, gather, held_out
from app.training.recipe import Recipe
from app.training.train import Trainer
from tests.training import tiny

RECIPE = Recipe(
    steps=4, warmup=1, groups=3, together=2, negatives=3, lengths=(24, 32), save_every=2, frozen=2
)


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return make(tmp_path)


def make(folder: Path) -> Trainer:
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
    whole = make(tmp_path).run(tmp_path / "whole.pt")
    first = make(tmp_path)
    first.advance()
    first.advance()
    first.save(tmp_path / "parts.pt")
    second = make(tmp_path)
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
