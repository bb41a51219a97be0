"""Masks that never change."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from export import saved_model, tflite
from tests.support import classifiers
from tfrobust import models, targets
from tfrobust.layers import FixedMask, FixedMaskConv2D

SHAPE = (6, 5, 3)
IMAGES = classifiers.random_images(4, SHAPE)


def masked_model(filters=8, kind="random"):
    return keras.Sequential(
        [
            keras.Input(SHAPE, name="image"),
            FixedMaskConv2D(filters, 3, ratio=0.5, kind=kind, mask_seed=3, padding="same"),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
        ]
    )


@pytest.mark.parametrize("kind", ["random", "same"])
@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.5, 0.7, 0.96])
def test_every_channel_has_the_exact_count_of_zeros(kind, ratio):
    kept = np.array(FixedMask(ratio, kind, seed=1)(np.ones((1, *SHAPE), "float32")))[0]
    np.testing.assert_array_equal((kept == 0).sum(axis=(0, 1)), [round(ratio * 30)] * 3)
    assert set(np.unique(kept)) <= {0.0, 1.0}


def test_kinds_differ_in_whether_channels_share_the_mask():
    ones = np.ones((1, 16, 16, 3), "float32")
    same, random = (np.array(FixedMask(0.5, kind, seed=1)(ones))[0] for kind in ("same", "random"))
    assert (same[..., :1] == same).all() and not (random[..., 0] == random[..., 1]).all()


def test_masks_are_uniform():
    """Over 100 seeds and 20 channels every unit is dropped as often as any other."""
    ones = np.ones((1, 4, 4, 20), "float32")
    share = np.mean([np.array(FixedMask(0.25, seed=seed)(ones))[0] == 0 for seed in range(100)], axis=(0, 3))
    assert np.abs(share - 0.25).max() < 4.5 * np.sqrt(0.25 * 0.75 / 2000)  # 16 units, 4.5 standard deviations


def test_seed_decides():
    layers = [FixedMask(0.5, seed=seed) for seed in (1, 1, 2)]
    first, again, other = (np.array(layer(IMAGES)) for layer in layers)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_masked_units_are_zero_and_others_untouched_whatever_the_input():
    layer = FixedMask(0.5, seed=1)
    kept = np.array(layer(np.ones_like(IMAGES))) == 1
    np.testing.assert_array_equal(layer(IMAGES), np.where(kept, IMAGES, 0))
    assert np.isfinite(layer(np.where(kept, IMAGES, np.nan))).all()


def test_same_in_training_and_gradients_stop_at_masked_units():
    layer = FixedMask(0.5, seed=1)
    images = tf.constant(IMAGES)
    with tf.GradientTape() as tape:
        tape.watch(images)
        output = layer(images, training=True)
    np.testing.assert_array_equal(output, layer(images, training=False))
    np.testing.assert_array_equal(tape.gradient(output, images), layer(tf.ones_like(images)))


def test_convolution_then_mask():
    layer = FixedMaskConv2D(8, 3, ratio=0.5, mask_seed=3, padding="same", activation="relu")
    output = layer(IMAGES)
    plain = keras.layers.Conv2D(8, 3, padding="same", activation="relu")
    plain.build((None, *SHAPE))
    plain.set_weights(layer.get_weights()[:2])
    np.testing.assert_allclose(output, FixedMask(0.5, seed=3)(plain(IMAGES)), atol=1e-6)
    assert len(layer.trainable_weights) == 2 and len(layer.non_trainable_weights) == 1


def test_mask_survives_saving_cloning_and_configuration(tmp_path):
    model = masked_model()
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(IMAGES), model(IMAGES))
    clone = keras.models.clone_model(model)
    np.testing.assert_array_equal(clone.layers[0].mask.kept, model.layers[0].mask.kept)
    config = model.layers[0].get_config()
    assert FixedMaskConv2D.from_config(config).get_config() == config


def test_mask_survives_training_with_weight_decay():
    model = masked_model()
    before = np.array(model.layers[0].mask.kept)
    model.compile(
        keras.optimizers.AdamW(0.1, weight_decay=0.5), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.fit(IMAGES, np.arange(4), epochs=3, verbose=0)
    np.testing.assert_array_equal(model.layers[0].mask.kept, before)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mask_works_in_mixed_precision(policy):
    layer = FixedMaskConv2D(8, 3, ratio=0.5, mask_seed=3, padding="same", dtype=policy)
    output = layer(IMAGES)
    assert keras.backend.standardize_dtype(output.dtype) == policy.removeprefix("mixed_")
    zeros = ~np.array(FixedMaskConv2D(8, 3, ratio=0.5, mask_seed=3, padding="same")(IMAGES)).astype(bool)
    assert (np.array(keras.ops.cast(output, "float32"))[zeros] == 0).all()


@pytest.mark.parametrize("kind", ["random", "same"])
@pytest.mark.parametrize("filters", [3, 8])
def test_mask_survives_export(filters, kind, tmp_path):
    """Also one of 90 units, which are no whole number of bytes."""
    model = masked_model(filters, kind)
    saved_model.write(model, tmp_path / "saved")
    (tmp_path / "masked.tflite").write_bytes(tflite.convert(model))
    for name in ("saved", "masked.tflite"):
        np.testing.assert_allclose(targets.load(tmp_path / name).predictor()(IMAGES), model(IMAGES), atol=1e-5)


@functools.cache
def network(placement=""):
    """The masked half of a narrow ResNet-18; its batch normalization changes every weight that it is folded into."""
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    whole = models.resnet18(width=8, insert=models.masks.parse(placement))
    features = keras.layers.GlobalAveragePooling2D()(whole.get_layer("stage2_block2_relu2").output)
    model = keras.Model(whole.input, keras.layers.Dense(10)(features))
    for variable in model.non_trainable_variables:
        if variable.name == "moving_mean":
            variable.assign(random.normal(0, 0.1, variable.shape))
        if variable.name == "moving_variance":
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
    return model


@pytest.fixture(scope="module")
def plain_bytes():
    return len(tflite.convert(network()))


@pytest.mark.parametrize("placement, at_most", [("shallow=0.7", 0.55), ("shallow=0.7,kind=same", 0.2)])
def test_tflite_of_a_whole_network_grows_by_less_than_a_byte_a_unit(placement, at_most, plain_bytes):
    """Operations, names and table included: by half a byte, and by a fifth where the channels share a mask."""
    masked = network(placement)
    units = [np.prod(layer.kept.shape) for layer in masked.layers if isinstance(layer, FixedMask)]
    assert len(units) == 10 and sum(units) == 5 * 32 * 32 * 8 + 5 * 16 * 16 * 16
    growth = len(tflite.convert(masked)) - plain_bytes
    assert 0 < growth <= at_most * sum(units)


@pytest.mark.parametrize(
    "mode, tolerance",
    [("float32", 1e-4), ("float16", 2e-3), ("dynamic", 0.05), ("int8", 0.1), ("int16x8", 0.05)],
)
def test_tflite_in_every_precision_gives_the_logits_of_the_masked_network(mode, tolerance, tmp_path):
    images = classifiers.random_images(6, (32, 32, 3))
    masked = network("shallow=0.7")
    expected = masked(images, training=False).numpy()
    assert np.abs(expected - network()(images, training=False)).max() > 5 * tolerance  # masks make a difference
    (tmp_path / "masked.tflite").write_bytes(tflite.convert(masked, mode, images))
    for size in (1, 6):
        predict = targets.load(tmp_path / "masked.tflite").predictor()
        found = np.concatenate([predict(images[at : at + size]) for at in range(0, 6, size)])
        assert np.abs(found - expected).max() < tolerance


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"ratio": 1.0, "seed": 0}, r"\[0, 1\)"),
        ({"ratio": -0.1, "seed": 0}, r"\[0, 1\)"),
        ({"ratio": "0.5", "seed": 0}, r"\[0, 1\)"),
        ({"ratio": 0.5, "kind": "channel", "seed": 0}, "random, same"),
        ({"ratio": 0.5}, "explicit seed"),
    ],
)
def test_senseless_settings_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        FixedMask(**arguments)


def test_unknown_size_and_empty_channels_are_refused():
    with pytest.raises(ValueError, match="known size"):
        FixedMask(0.5, seed=0).build((None, None, 8, 3))
    with pytest.raises(ValueError, match="nothing of a channel of 2x2"):
        FixedMask(0.9, seed=0).build((None, 2, 2, 3))
