"""The checkerboard enhancer: what it computes, where its gradients are, and what a shift by a pixel undoes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from export import saved_model, tflite
from tests.support import classifiers
from tfrobust import InputError, targets
from tfrobust.layers import CheckerboardEnhancer, UNetEnhancer

SIZES = [(6, 5), (5, 6), (7, 7), (8, 8)]
INFINITY = float("inf")


def images_of(size, count=3):
    return classifiers.random_images(count, (*size, 3))


def checkerboard(size):
    """1.0 on the pixels of even row and even column: float32 [height, width, 1]."""
    mask = np.zeros((*size, 1), "float32")
    mask[::2, ::2] = 1
    return mask


def shifted(images, down=0, right=0):
    """Zeros come in on one side, and as many pixels go on the other."""
    moved = np.zeros_like(images)
    height, width = images.shape[1:3]
    moved[:, max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = images[
        :, max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)
    ]
    return moved


def gradient(layer, images, upstream):
    images = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        answers = layer(images)
    return tape.gradient(answers, images, output_gradients=tf.constant(upstream)).numpy()


def by_hand(layer, images):
    """lam * F(x) + x in NumPy: every second pixel, four channels, and patches of 3x3 that overlap."""
    _, kernel, bias, decoder_kernel, decoder_bias = (np.array(weight) for weight in layer.weights)
    hidden = images[:, ::2, ::2] @ kernel[0, 0] + bias
    count, rows, columns, _ = hidden.shape
    copy = np.zeros((count, 2 * rows + 1, 2 * columns + 1, images.shape[-1]))
    for i, j in np.ndindex(rows, columns):
        copy[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += np.einsum("nh,rsch->nrsc", hidden[:, i, j], decoder_kernel)
    return float(layer.lam) * (copy[:, : images.shape[1], : images.shape[2]] + decoder_bias) + images


@pytest.mark.parametrize("size", SIZES)
def test_two_layers_read_every_second_pixel_and_write_patches_of_three(size):
    layer, images = CheckerboardEnhancer(lam=3.0), images_of(size)
    layer.build(images.shape)
    for bias in (layer.encoder.bias, layer.decoder.bias):
        bias.assign(np.linspace(0.1, 0.4, bias.shape[0]))
    np.testing.assert_allclose(layer(images), by_hand(layer, images), rtol=1e-5, atol=1e-5)


def test_initial_weights_are_uniform_within_their_limits_and_biases_zero():
    keras.utils.set_random_seed(0)
    layer = CheckerboardEnhancer(hidden=200)
    layer.build((None, 8, 8, 3))
    for kernel, limit in ((layer.encoder.kernel, 3**-0.5), (layer.decoder.kernel, 27**-0.5)):
        values = np.abs(kernel)
        assert 0.98 * limit < values.max() <= limit and abs(values.mean() / limit - 0.5) < 0.05
    assert not np.any(layer.encoder.bias) and not np.any(layer.decoder.bias)


@pytest.mark.parametrize("size", SIZES)
def test_without_the_skip_the_gradient_is_zero_off_the_checkerboard_exactly(size):
    images, board = images_of(size), checkerboard(size)
    found = gradient(CheckerboardEnhancer(INFINITY), images, images_of(size))
    assert not found[:, board[..., 0] == 0].any() and found[:, board[..., 0] == 1].all()


def test_the_share_of_the_gradient_on_the_checkerboard_rises_with_lam():
    keras.utils.set_random_seed(0)
    images, upstream, board = images_of((8, 8)), images_of((8, 8)) - 0.5, checkerboard((8, 8))
    layer, shares = CheckerboardEnhancer(), []
    for lam in (0.0, 5.0, 20.0, 100.0):
        layer(images)
        layer.set_lam(lam)
        found = np.abs(gradient(layer, images, upstream))
        shares.append((found * board).sum() / found.sum())
    assert shares == sorted(shares) and shares[0] < 0.4 and shares[-1] > 0.9


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("down, right", [(1, 0), (0, 1), (-1, 0), (0, -3), (1, 2), (3, 3)])
def test_an_odd_shift_makes_it_ignore_a_perturbation_of_the_checkerboard_bit_for_bit(size, down, right):
    images = images_of(size)
    perturbed = images + 0.2 * checkerboard(size)
    layer = CheckerboardEnhancer(INFINITY)
    np.testing.assert_array_equal(layer(shifted(perturbed, down, right)), layer(shifted(images, down, right)))
    assert np.abs(layer(perturbed) - layer(images)).max() > 1e-3


@pytest.mark.parametrize("down, right", [(2, 0), (0, -2), (2, -4)])
def test_an_even_shift_keeps_it(down, right):
    images = images_of((9, 10))
    perturbed, layer = images + 0.2 * checkerboard((9, 10)), CheckerboardEnhancer(INFINITY)
    difference = layer(shifted(perturbed, down, right)) - layer(shifted(images, down, right))
    moved = shifted((layer(perturbed) - layer(images)).numpy(), down, right)
    inside = np.s_[:, 4:-4, 4:-4]
    np.testing.assert_allclose(difference[inside], moved[inside], atol=1e-6)


def test_lam_zero_is_the_image_alone_and_lam_can_be_changed_at_any_time():
    images, layer = images_of((6, 5)), CheckerboardEnhancer(0.0)
    np.testing.assert_array_equal(layer(images), images)
    layer.set_lam(2.0)
    twice = layer(images)
    layer.set_lam(INFINITY)
    np.testing.assert_allclose(twice, 2 * layer(images) + images, rtol=1e-5, atol=1e-6)
    assert [weight.name for weight in layer.non_trainable_weights] == ["lam"] and len(layer.trainable_weights) == 4


@pytest.mark.parametrize("size", SIZES)
def test_the_unet_interpolates_every_second_pixel_before_it_is_trained(size):
    images = images_of(size)
    rows, columns = (np.arange(length) for length in size)
    read = images[:, ::2, ::2]

    def interpolated(pixels, places, axis):
        low = places // 2
        high = np.minimum(low + places % 2, pixels.shape[axis] - 1)  # the last pixel has no next one
        return (np.take(pixels, low, axis) + np.take(pixels, high, axis)) / 2

    expected = interpolated(interpolated(read, rows, 1), columns, 2)
    np.testing.assert_allclose(UNetEnhancer(1.0)(images), expected, atol=1e-6)
    half = UNetEnhancer(0.25)(images)
    np.testing.assert_allclose(half, 0.25 * expected + 0.75 * images, atol=1e-6)


def test_the_unet_is_trained_alone_and_reads_the_checkerboard_only():
    keras.utils.set_random_seed(0)
    images, layer = images_of((8, 7), 16), UNetEnhancer(1.0, width=8)
    layer.build((None, 8, 7, 3))
    layer.autoencoder.compile(keras.optimizers.Adam(2e-3), "mean_squared_error")
    losses = layer.autoencoder.fit(images, images, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < 0.95 * losses[0]
    found = gradient(layer, images, images)
    assert not found[:, checkerboard((8, 7))[..., 0] == 0].any() and np.abs(found).max() > 0


@pytest.mark.parametrize(
    "layer", [CheckerboardEnhancer(5.0), CheckerboardEnhancer(INFINITY, hidden=2), UNetEnhancer(0.5)]
)
def test_survives_saving_with_the_lam_of_the_moment(layer, tmp_path):
    images = images_of((7, 6))
    model = keras.Sequential([keras.Input((7, 6, 3)), layer])
    layer.set_lam(0.75)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images), model(images))
    assert loaded.layers[0].get_config() == layer.get_config() and float(loaded.layers[0].lam) == 0.75


def classifier(layer, size):
    keras.utils.set_random_seed(0)
    images = keras.Input((*size, 3), name="image")
    x = keras.layers.Conv2D(6, 3, activation="relu")(layer(images))
    return keras.Model(images, keras.layers.Dense(4)(keras.layers.Flatten()(x)))


TOLERANCES = {"float32": 1e-5, "float16": 5e-3, "dynamic": 0.1, "int8": 0.1, "int16x8": 0.1}  # of the logits' deviation


EXPORTED = {
    "lam 10": lambda: CheckerboardEnhancer(10.0),
    "no skip": lambda: CheckerboardEnhancer(INFINITY),
    "unet": lambda: UNetEnhancer(0.9, width=4, depth=1),
}


@pytest.mark.parametrize(
    "name, size, modes", [("lam 10", (7, 6), TOLERANCES), ("no skip", (8, 8), ["int8"]), ("unet", (7, 6), ["int8"])]
)
def test_survives_export_in_every_precision(name, size, modes, tmp_path):
    images = classifiers.random_images(8, (*size, 3), low=0, high=1)
    model = classifier(EXPORTED[name](), size)
    expected = model(images).numpy()
    saved_model.write(model, tmp_path / "saved")
    np.testing.assert_allclose(targets.load(tmp_path / "saved").predictor()(images), expected, atol=1e-4)
    for mode in modes:
        (tmp_path / "model.tflite").write_bytes(tflite.convert(model, mode, images))
        found = targets.load(tmp_path / "model.tflite").predictor()(images)
        assert np.abs(found - expected).max() < TOLERANCES[mode] * expected.std(), mode


def built(layer):
    layer.build((None, 6, 6, 3))
    return layer


@pytest.mark.parametrize(
    "wrong, said",
    [
        (lambda: CheckerboardEnhancer(-1.0), "at least 0"),
        (lambda: CheckerboardEnhancer(float("nan")), "at least 0"),
        (lambda: CheckerboardEnhancer(hidden=0), "hidden must be a whole number"),
        (lambda: CheckerboardEnhancer().build((None, 3)), r"takes images \[batch"),
        (lambda: UNetEnhancer(2.0), r"in \[0, 1\]"),
        (lambda: built(CheckerboardEnhancer()).set_lam(-1.0), "at least 0"),
        (lambda: built(UNetEnhancer()).set_lam(2.0), r"in \[0, 1\]"),
        (lambda: UNetEnhancer(depth=0), "whole numbers"),
        (lambda: UNetEnhancer().build((None, None, None, 3)), "known size"),
    ],
)
def test_senseless_settings_are_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        wrong()
