"""Squares that are dropped in training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from export import tflite
from tests.support import classifiers
from tfrobust.layers import DropBlock

SHAPE = (9, 7, 3)
IMAGES = classifiers.random_images(4, SHAPE)
ONES = np.ones((2000, *SHAPE), "float32")


def dropped(rate, block_size, shape=SHAPE, seed=0):
    """Which units of 2,000 examples are dropped: bool [2000, height, width, channels]."""
    return np.array(DropBlock(rate, block_size, seed)(np.ones((2000, *shape), "float32"), training=True)) == 0


@pytest.mark.parametrize("rate, block_size", [(0.1, 1), (0.1, 3), (0.3, 4), (0.1, 7), (0.2, 50)])
def test_each_unit_is_dropped_as_often_as_the_papers_gamma_says(rate, block_size):
    """A unit is kept if none of the squares that fit and cover it is drawn: (1 - gamma) ^ (number of such squares)."""
    share = dropped(rate, block_size).mean(axis=(0, 3))
    size = min(block_size, 7)
    gamma = rate / size**2 * 63 / ((9 - size + 1) * (7 - size + 1))
    rows, columns = (np.convolve(np.ones(side - size + 1), np.ones(size)) for side in SHAPE[:2])
    expected = 1 - (1 - gamma) ** np.outer(rows, columns)
    deviation = np.sqrt(expected * (1 - expected) / 6000)
    assert (np.abs(share - expected) < 4.5 * deviation).all()  # 63 units


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_zeros_are_whole_squares_and_each_channel_has_its_own(size):
    """Every dropped unit lies in a square of dropped units that is inside the map."""
    zeros = dropped(0.2, size)[:200]
    windows = np.lib.stride_tricks.sliding_window_view(zeros, (size, size), axis=(1, 2)).all(axis=(-2, -1))
    covered = np.zeros_like(zeros)
    for row in range(size):
        for column in range(size):
            covered[:, row : row + windows.shape[1], column : column + windows.shape[2]] |= windows
    np.testing.assert_array_equal(covered, zeros)
    assert (zeros[..., 0] != zeros[..., 1]).any()


def test_a_square_as_large_as_the_map_drops_whole_channels():
    zeros = dropped(0.25, 7, (4, 4, 50))
    assert (zeros.all(axis=(1, 2)) == zeros.any(axis=(1, 2))).all()
    assert abs(zeros.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 100_000)


def test_kept_units_are_scaled_by_the_share_of_their_example():
    """So that a constant example keeps its sum, and its neighbors do not matter."""
    output = np.array(DropBlock(0.3, 3, seed=0)(ONES, training=True))
    np.testing.assert_allclose(output.sum(axis=(1, 2, 3)), 189, rtol=1e-5)
    for example in output[:20]:
        np.testing.assert_allclose(example[example != 0], 189 / np.sum(example != 0), rtol=1e-5)


def test_an_example_of_which_nothing_is_kept_is_zero():
    output = np.array(DropBlock(0.9, 1, seed=0)(np.ones((100, 1, 1, 1), "float32"), training=True))
    assert set(np.unique(output)) == {0.0, 1.0}


def test_identity_at_inference_and_at_rate_zero():
    np.testing.assert_array_equal(DropBlock(0.5, 3)(IMAGES), IMAGES)
    np.testing.assert_array_equal(DropBlock(0.0, 3)(IMAGES, training=True), IMAGES)


def test_seed_decides_and_every_step_has_new_draws():
    one, same, other = (DropBlock(0.2, 3, seed=seed) for seed in (1, 1, 2))
    first, second = (np.array(one(IMAGES, training=True)) for _ in range(2))
    np.testing.assert_array_equal(first, same(IMAGES, training=True))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other(IMAGES, training=True))


def compiled(layer, **options):
    return tf.function(lambda images: layer(images, training=True), [tf.TensorSpec([None, *SHAPE])], **options)


def test_graphs_give_the_draws_of_eager_execution():
    eager, graph = DropBlock(0.2, 3, seed=1), compiled(DropBlock(0.2, 3, seed=1))
    for _ in range(2):
        np.testing.assert_allclose(graph(IMAGES), eager(IMAGES, training=True), rtol=1e-6)


def test_runs_under_xla():
    """Whose generator is another one: the draws differ, their number and scale do not."""
    graph = compiled(DropBlock(0.2, 1, seed=1), jit_compile=True)
    first, second = (graph(ONES).numpy() for _ in range(2))
    np.testing.assert_allclose(first.sum(axis=(1, 2, 3)), 189, rtol=1e-5)
    assert abs(np.mean(first == 0) - 0.2) < 4 * np.sqrt(0.2 * 0.8 / first.size) and not np.array_equal(first, second)


def test_gradient_is_that_of_the_scaled_mask():
    images = tf.constant(IMAGES)
    with tf.GradientTape() as tape:
        tape.watch(images)
        output = DropBlock(0.3, 3, seed=1)(images, training=True)
    np.testing.assert_allclose(tape.gradient(output, images) * images, output, rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_works_in_mixed_precision(policy):
    """With the same draws as in float32: gamma would be too coarse in 16 bits."""
    output = DropBlock(0.3, 3, seed=1, dtype=policy)(IMAGES, training=True)
    assert keras.backend.standardize_dtype(output.dtype) == policy.removeprefix("mixed_")
    expected = DropBlock(0.3, 3, seed=1)(IMAGES, training=True)
    np.testing.assert_allclose(keras.ops.cast(output, "float32"), expected, rtol=0.02)


def test_trains_saves_loads_and_leaves_no_trace_in_an_export(tmp_path):
    layers = [DropBlock(0.1, 3, seed=1), keras.layers.Flatten(), keras.layers.Dense(4)]
    model = keras.Sequential([keras.Input(SHAPE), *layers])
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(IMAGES, np.arange(4), epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(IMAGES), model(IMAGES))
    assert loaded.layers[0].get_config() == layers[0].get_config()
    plain = keras.Sequential([keras.Input(SHAPE), *layers[1:]])
    assert abs(len(tflite.convert(model)) - len(tflite.convert(plain))) < 200


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"rate": 1.0}, r"\[0, 1\)"),
        ({"rate": -0.1}, r"\[0, 1\)"),
        ({"rate": "0.1"}, r"\[0, 1\)"),
        ({"rate": 0.1, "block_size": 0}, "at least 1, got 0"),
        ({"rate": 0.1, "block_size": 2.5}, "at least 1, got 2.5"),
    ],
)
def test_senseless_settings_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        DropBlock(**arguments)


@pytest.mark.parametrize("shape", [(None, None, 8, 3), (None, 8, 3)])
def test_unknown_size_is_refused(shape):
    with pytest.raises(ValueError, match="known size"):
        DropBlock(0.1).build(shape)
