"""The compiled library against numpy, with each kind of vectors that this processor has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from app.engines import processors
from app.engines.native.architecture import SHUT
from app.engines.native.library import Encoder, aligned_bytes, compiled
from tests.engines.native.layers import assert_close, halves, normalized, random_layers

RUNNABLE = [name for name in compiled() if name in processors.abilities()]
pytestmark = pytest.mark.skipif(
    not RUNNABLE, reason="needs a C compiler and a processor for the library"
)
WIDTH, HEADS, INNER = 128, 4, 256
# One more or less than what fills vectors, tiles and blocks.
LENGTHS = [[1], [2, 15, 16, 17, 31], [33, 1, 113]]


@pytest.fixture(params=RUNNABLE)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def inputs(lengths: Sequence[int], width: int = WIDTH, seed: int = 1) -> NDArray[np.float32]:
    chance = np.random.default_rng(seed)
    return chance.standard_normal((sum(lengths), width)).astype(np.float32)


def encoded(
    encoder: Encoder,
    states: NDArray[np.float32],
    lengths: Sequence[int],
    splits: Sequence[int],
    *,
    first_only: bool = False,
) -> NDArray[np.float32]:
    states = states.copy()
    room = aligned_bytes(encoder.room_size(sum(lengths), max(lengths)))
    encoder.encode(
        states, lengths, splits, room, first=0, end=encoder.shape.layers, first_only=first_only
    )
    return states


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize(("width", "heads", "inner"), [(128, 4, 256), (256, 4, 128)])
def test_states_are_those_of_numpy(
    name: str, width: int, heads: int, inner: int, lengths: list[int]
) -> None:
    layers, states = random_layers(width, heads, inner, layers=1), inputs(lengths, width)
    ours = encoded(layers.encoder(name), states, lengths, halves(lengths))
    theirs = layers.states(states.astype(np.float64), halves(lengths), lengths, name)
    assert_close(ours, theirs)


def test_scores_that_are_far_apart_and_states_without_size_stay_finite(name: str) -> None:
    layers = random_layers(WIDTH, HEADS, INNER, spread=60)
    states = np.concatenate([inputs([20]) * 100, np.zeros((3, WIDTH), np.float32)])
    ours = encoded(layers.encoder(name), states, [23], [10])
    assert np.isfinite(ours).all()
    assert np.ptp(ours) > 1


def test_weights_and_states_at_the_limit_do_not_overflow(name: str) -> None:
    """All neighbours have the same sign and the greatest size."""
    layers = random_layers(WIDTH, HEADS, INNER, layers=1)
    for part in ("up", "down", "query"):
        layers.tensors[f"layers.0.{part}.weight"][:] = 0.05
    states = np.full((5, WIDTH), 3.0, np.float32)
    states[:, ::2] = 2.9
    ours = encoded(layers.encoder(name), states, [5], [5])
    theirs = layers.states(states.astype(np.float64), [5], [5], name)
    assert_close(ours, theirs)


def test_a_sequence_does_not_depend_on_what_is_computed_with_it(name: str) -> None:
    lengths = [7, 61, 1, 130, 18]
    encoder, states = random_layers(WIDTH, HEADS, INNER).encoder(name), inputs(lengths)
    together = encoded(encoder, states, lengths, halves(lengths))
    ends = np.cumsum(lengths)
    for length, end in zip(lengths, ends, strict=True):
        own = states[end - length : end]
        alone = encoded(encoder, own, [length], halves([length]))
        assert np.array_equal(alone, together[end - length : end])


def test_first_tokens_alone_are_those_of_whole_sequences(name: str) -> None:
    lengths = [7, 61, 1, 130, 18]
    encoder, states = random_layers(WIDTH, HEADS, INNER).encoder(name), inputs(lengths)
    whole = encoded(encoder, states, lengths, lengths)
    firsts = encoded(encoder, states, lengths, lengths, first_only=True)
    starts = np.cumsum([0, *lengths[:-1]])
    assert np.array_equal(firsts[: len(lengths)], whole[starts])


def test_parts_between_which_gates_are_shut_are_computed_as_if_alone(name: str) -> None:
    layers = random_layers(WIDTH, HEADS, INNER)
    layers.tensors["gates"][:] = SHUT
    encoder, states = layers.encoder(name), inputs([50])
    together = encoded(encoder, states, [50], [20])
    apart = encoded(encoder, states, [20, 30], [20, 30])
    assert np.abs(together - apart).max() < 0.1
    assert np.abs(together - apart).mean() < 1e-3


def test_layers_can_be_computed_in_two_calls(name: str) -> None:
    encoder, states = random_layers(WIDTH, HEADS, INNER).encoder(name), inputs([40])
    whole, room = encoded(encoder, states, [40], [20]), aligned_bytes(encoder.room_size(40, 40))
    encoder.encode(states, [40], [20], room, first=0, end=1)
    encoder.encode(states, [40], [20], room, first=1, end=2)
    assert np.array_equal(states, whole)


@pytest.mark.parametrize("rows", [1, 5, 6, 7, 14, 15, 29])
@pytest.mark.parametrize(("inner", "columns"), [(1, 32), (37, 96), (128, 64)])
def test_products_in_full_precision_are_those_of_numpy(
    name: str, rows: int, inner: int, columns: int
) -> None:
    encoder, chance = random_layers(WIDTH, HEADS, INNER).encoder(name), np.random.default_rng(2)
    left = chance.standard_normal((rows, inner)).astype(np.float32)
    right = chance.standard_normal((inner, columns)).astype(np.float32)
    product = encoder.multiply(left, right)
    assert np.allclose(product, left.astype(np.float64) @ right, atol=1e-4)
    assert np.array_equal(product[:1], encoder.multiply(left[:1], right))


def test_rows_are_normalized_as_numpy_does(name: str) -> None:
    encoder, chance = random_layers(WIDTH, HEADS, INNER).encoder(name), np.random.default_rng(3)
    states, added = (chance.standard_normal((9, WIDTH)).astype(np.float32) for _ in range(2))
    scale, shift = (chance.standard_normal(WIDTH).astype(np.float32) for _ in range(2))
    expected = normalized(states, added, scale, shift)
    encoder.normalize(states, added, scale, shift)
    assert np.allclose(states, expected, atol=1e-4)


def test_arguments_that_do_not_fit_are_refused(name: str) -> None:
    encoder = random_layers(WIDTH, HEADS, INNER).encoder(name)
    states, room = inputs([10]), aligned_bytes(encoder.room_size(10, 10))

    def refused(
        states: NDArray[np.float32], lengths: list[int], first: int = 0, end: int = 2
    ) -> None:
        with pytest.raises(ValueError, match="do not fit"):
            encoder.encode(states, lengths, lengths, room, first=first, end=end)

    refused(states, [11])
    refused(states, [10, 0])
    refused(states.astype(np.float64), [10])
    refused(np.asfortranarray(states), [10])
    refused(states[:, :64], [10])
    refused(states, [10], end=3)
    refused(states, [10], first=-1)
    refused(inputs([500]), [500])  # not enough room
    for splits in ([], [11], [-1]):
        with pytest.raises(ValueError, match="do not fit"):
            encoder.encode(states, [10], splits, room, first=0, end=2)
    with pytest.raises(ValueError, match="3 columns do not fill panels of 32"):
        encoder.multiply(states, np.ones((WIDTH, 3), np.float32))
    with pytest.raises(ValueError, match="not float32"):
        encoder.multiply(states, np.ones((WIDTH + 1, 32), np.float32))


def test_sizes_that_do_not_fill_groups_and_panels_are_refused(name: str) -> None:
    layers = random_layers(WIDTH, 8, INNER)  # heads of 16
    with pytest.raises(ValueError, match="do not fill groups and panels"):
        layers.encoder(name)


def test_weights_of_other_sizes_are_refused(name: str) -> None:
    layers = random_layers(WIDTH, HEADS, INNER)
    layers.tensors["layers.1.up.bias"] = np.zeros(INNER + 1, np.float32)
    with pytest.raises(ValueError, match=r"an array is float32 \(257,\)"):
        layers.encoder(name)
