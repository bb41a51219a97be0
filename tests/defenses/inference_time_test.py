"""Defenses that change images or answers when a network is asked: what they undo, and where they work."""

import keras
import numpy as np
import pytest

import tfrobust as tfr
from export import saved_model, tflite
from tests.support import classifiers
from tfrobust import InputError, models, targets
from tfrobust.analysis import checkerboard
from tfrobust.attacks import Problem
from tfrobust.defenses import pixel_deflection, pixel_shift, region_vote, resize_pad

SHAPE = (12, 12, 3)
IMAGES = classifiers.random_images(12, SHAPE)
INFINITY = float("inf")


def network(lam=None):
    """A small network with a class activation map, which prefers no class; behind ACE's module if it is given a lam."""
    keras.utils.set_random_seed(1)
    layers = [
        keras.layers.Conv2D(6, 3, strides=2, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(4),
    ]
    small = keras.Sequential([keras.Input(SHAPE), *layers])
    layers[-1].bias.assign(-np.mean(small(IMAGES), axis=0))
    return small if lam is None else models.with_ace(small, lam)


RANDOM = {
    "pixel_shift": lambda model: pixel_shift(model, 1, "random"),
    "resize_pad": resize_pad,
    "pixel_deflection": lambda model: pixel_deflection(model, deflections=30),
    "pixel_deflection without maps": lambda model: pixel_deflection(model, deflections=30, activation_map=False),
    "region_vote": lambda model: region_vote(model, samples=7, radius=0.3),
}


@pytest.mark.parametrize("pixels, direction, ignored", [
    *((1, direction, True) for direction in ("right", "left", "up", "down", "random")),
    *((pixels, "right", bool(pixels % 2)) for pixels in (2, 3, 4, 5)), (2, "random", True), (4, "random", True),
])  # fmt: skip
def test_a_shift_makes_ace_ignore_the_checkerboard_unless_it_is_even(pixels, direction, ignored):
    """With lam infinite, to the bit: what was added to the checkerboard is read by nothing."""
    perturbed = IMAGES + 0.2 * checkerboard(SHAPE[:2])[..., None]
    clean, attacked = (
        np.array(pixel_shift(network(INFINITY), pixels, direction)(images.astype("float32")))
        for images in (IMAGES, perturbed)
    )
    assert np.array_equal(clean, attacked) == ignored


@pytest.mark.parametrize("name", RANDOM)
def test_answers_are_fresh_draws_whose_network_is_untouched(name):
    model = network()
    before, answers = model.get_weights(), model(IMAGES).numpy()
    defended = RANDOM[name](model)
    assert np.any(defended(IMAGES) != defended(IMAGES)) and defended.output_shape == (None, 4)
    np.testing.assert_array_equal(model(IMAGES), answers)
    for weight, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, now)


@pytest.mark.parametrize("name", ["pixel_shift", "region_vote"])
def test_evaluate_sees_that_it_is_random_and_attacks_its_expectation(name):
    defended = RANDOM[name](network())
    labels = np.array([np.bincount(votes, minlength=4).argmax() for votes in
                       np.stack([np.argmax(defended(IMAGES), axis=1) for _ in range(9)], axis=1)])  # fmt: skip
    config = tfr.evaluation.EvaluationConfig(active_checks=False)
    found = tfr.evaluate(defended, IMAGES, labels, ["expectation(fgsm(linf(0.2)), 3)"], config=config)
    assert "wrong draws" in found.table()
    assert found.report["attacks"][0]["robust_accuracy"] <= found.report["clean_accuracy"]


@pytest.mark.parametrize("name", RANDOM)
def test_survives_saving_and_the_saved_model_draws_anew(name, tmp_path):
    defended = RANDOM[name](network())
    defended.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(IMAGES), defended(IMAGES), rtol=1e-5, atol=1e-6)
    saved_model.write(defended, tmp_path / "saved")
    predict = targets.load(tmp_path / "saved").predictor()
    first, second = predict(IMAGES), predict(IMAGES)
    assert np.isfinite(first).all() and np.any(first != second)
    assert np.abs(first.mean(axis=0) - defended(IMAGES).numpy().mean(axis=0)).max() < 1.0


def test_a_given_shift_has_tflite_files_and_random_defenses_say_that_they_have_none(tmp_path):
    defended = pixel_shift(network(10.0), pixels=1, direction="down")
    expected = defended(IMAGES).numpy()
    for mode, tolerance in {"float32": 1e-5, "float16": 1e-2, "dynamic": 0.1, "int8": 0.3}.items():
        (tmp_path / "model.tflite").write_bytes(tflite.convert(defended, mode, IMAGES))
        found = targets.load(tmp_path / "model.tflite").predictor()(IMAGES)
        assert np.abs(found - expected).max() < tolerance * expected.std(), mode
    with pytest.raises(InputError, match="draws random numbers, for which TFLite has no operation"):
        tflite.convert(
            pixel_shift(keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()]), direction="random")
        )


def test_votes_are_counted_and_have_the_gradients_of_the_network():
    """A linear classifier whose boundary is 0.1 away: no point within 0.05 is beyond it, half of them where it passes."""
    model = keras.Sequential([keras.Input((1, 1, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.set_weights([np.array([[1.0, 0.0]]), np.array([-0.5, 0.0])])
    defended = region_vote(model, samples=400, radius=0.05)
    shares = np.exp(defended(np.array([0.4, 0.5, 0.6]).reshape(3, 1, 1, 1)))
    np.testing.assert_allclose(shares[[0, 2]], [[1 / 402, 401 / 402], [401 / 402, 1 / 402]], rtol=1e-4)
    assert abs(shares[1, 0] - 0.5) < 4.5 * np.sqrt(0.25 / 400)
    images, labels = np.array([0.4, 0.6], "float32").reshape(2, 1, 1, 1), np.array([0, 1])
    gradients = [
        Problem(one, images, labels).pullback(images)[1](np.eye(2, dtype="float32")) for one in (model, defended)
    ]
    np.testing.assert_allclose(*gradients)
    assert np.any(gradients[0])


def test_an_activation_map_decides_where_pixels_are_replaced():
    """The network looks at the bright left half: only the right half is deflected."""
    inputs = keras.Input((8, 8, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(pooled))
    model.set_weights([np.array([[2.0, 1.0]]), np.zeros(2)])
    defended = pixel_deflection(model, deflections=40, sigma=0)
    deflected = keras.Model(defended.input, defended.get_layer("pixel_deflection").output)
    images = np.zeros((50, 8, 8, 1), "float32")
    images[:, :, :4] = 1.0
    changed = deflected(images).numpy() != images
    assert not changed[:, :, :4].any() and changed[:, :, 4:].mean() > 0.1


@pytest.mark.parametrize(
    "wrong, said",
    [
        (lambda: pixel_deflection(models.lenet()), "lenet has no class activation maps"),
        (lambda: region_vote(network(), samples=0), "samples must be a whole number"),
        (lambda: region_vote(network(), radius=0.0), "radius must be positive"),
        (lambda: pixel_shift(network(), pixels=0), "at least 1"),
        (lambda: resize_pad(keras.Sequential([keras.layers.Dense(3)])), "expected a model of images"),
    ],
)
def test_what_cannot_be_defended_is_refused_in_one_line(wrong, said):
    with pytest.raises(InputError, match=said) as error:
        wrong()
    assert "\n" not in str(error.value)
