"""Interval bounds: nothing leads out of them, and where a network is linear they are reached."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfrobust import attacks, balls, models, targets
from tfrobust.errors import InputError
from tfrobust.layers import FixedMask, FixedMaskConv2D, GroupedConv2D, Standardize
from tfrobust.models import IntervalBounds

SHAPE, RADIUS = (8, 8, 4), 0.03


def of_many_kinds():
    """A network with a layer of each kind, statistics that are not 0 and 1, and both signs of scales."""
    images = keras.Input(SHAPE)
    x = Standardize(0.4, 0.5)(images)
    x = layers.Conv2D(6, 3, padding="same", activation="tanh")(x)
    x = layers.BatchNormalization()(x)
    x = FixedMask(0.3, seed=1)(x)
    y = layers.DepthwiseConv2D(3, padding="same")(layers.LeakyReLU()(x))
    x = layers.Add()([layers.Rescaling(-1.5, 0.2)(x), y])
    x = layers.MaxPooling2D(2)(layers.ZeroPadding2D(1)(x))
    x = GroupedConv2D(4, 2, groups=2)(layers.Dropout(0.5)(x))
    x = FixedMaskConv2D(4, 2, ratio=0.3, mask_seed=2, activation="relu")(x)
    x = layers.Flatten()(layers.AveragePooling2D(2)(layers.Activation("elu")(x)))
    network = keras.Model(images, layers.Dense(5)(layers.Dense(7, activation="sigmoid")(x)))
    random = np.random.default_rng(0)
    for variable in network.weights:
        if "moving_variance" in variable.path:
            variable.assign(random.uniform(0.5, 2.0, variable.shape))
        elif "seed" not in variable.path:
            variable.assign(random.normal(0, 0.4, variable.shape))
    return network


@pytest.fixture(scope="module")
def case():
    """(network, images, its labels there)."""
    keras.utils.set_random_seed(0)
    network, images = of_many_kinds(), np.random.default_rng(1).random([6, *SHAPE], dtype="float32")
    return network, images, np.argmax(network(images), axis=1)


def test_ten_thousand_random_images_and_those_of_an_attack_stay_inside(case):
    network, images, labels = case
    bounds, random = IntervalBounds(network), np.random.default_rng(2)
    lower, upper = (bound.numpy() for bound in bounds.logits(images, RADIUS))
    margins = bounds.margins(images, labels, RADIUS).numpy()
    shown = [attacks.pgd(balls.Linf(RADIUS), steps=20)(network, images, labels, seed=0).numpy()]
    for _ in range(1700):
        corners = random.choice([-RADIUS, 0.0, RADIUS], size=images.shape)
        shown.append(np.clip(images + random.uniform(0, 1) * corners, 0, 1).astype("float32"))
    logits = network.predict(np.concatenate(shown), batch_size=1000, verbose=0).reshape(-1, *lower.shape)
    assert (logits >= lower - 1e-5).all() and (logits <= upper + 1e-5).all()
    found = logits - np.take_along_axis(logits, np.broadcast_to(labels[None, :, None], (len(logits), 6, 1)), axis=2)
    assert (found <= margins + 1e-5).all()
    assert (logits.max(axis=0) - logits.min(axis=0)).max() > 0.02 * (upper - lower).max()  # they say something


def test_at_radius_zero_they_are_the_logits(case):
    network, images, labels = case
    bounds = IntervalBounds(network)
    for bound in bounds.logits(images, 0.0):
        np.testing.assert_allclose(bound, network(images), atol=1e-5)
    assert bounds.certified(images, labels, 0.0).numpy().all()
    assert not bounds.certified(images, (labels + 1) % 5, 0.0).numpy().any()


def test_margins_are_tighter_than_the_difference_of_bounds(case):
    network, images, labels = case
    bounds = IntervalBounds(network)
    lower, upper = bounds.logits(images, RADIUS)
    loose = upper - tf.gather(lower, labels, batch_dims=1)[:, None]
    others = tf.one_hot(labels, 5).numpy() == 0
    tight = bounds.margins(images, labels, RADIUS).numpy()
    assert (tight[others] <= loose.numpy()[others] + 1e-5).all() and (
        tight[others] < loose.numpy()[others] - 1e-3
    ).any()
    np.testing.assert_allclose(tight[~others], 0, atol=1e-6)


def test_of_a_linear_network_they_are_exact():
    """f = (3, -4) x + 1 against 0 at (0.5, 0.5): 0.5, and at most 7 * radius less."""
    network = keras.Sequential([keras.Input([1, 2, 1]), layers.Flatten(), layers.Dense(2)])
    network.layers[-1].set_weights([np.array([[3.0, 0.0], [-4.0, 0.0]]), np.array([1.0, 0.0])])
    bounds, image = IntervalBounds(network), np.full([1, 1, 2, 1], 0.5, "float32")
    np.testing.assert_allclose(bounds.margins(image, [0], 0.05), [[0.0, -0.5 + 0.35]], atol=1e-6)
    assert bool(bounds.certified(image, [0], 0.07)[0]) and not bool(bounds.certified(image, [0], 0.072)[0])


def test_the_box_ends_where_images_do():
    network = keras.Sequential([keras.Input([1, 1, 1]), layers.Flatten(), layers.Dense(2)])
    network.layers[-1].set_weights([np.array([[1.0, 0.0]]), np.array([0.0, 0.0])])
    lower, upper = IntervalBounds(network).logits(np.full([1, 1, 1, 1], 0.1, "float32"), 0.3)
    np.testing.assert_allclose([lower[0, 0], upper[0, 0]], [0.0, 0.4], atol=1e-6)


@pytest.mark.parametrize(
    "name", ["lenet", "mlp", "convnet", "vgg11", "resnet18", "nin", "densenet121", "wide_resnet32_4"]
)
def test_every_network_without_local_normalization_has_bounds(name):
    network = models.build(name, width=4) if name not in ("mlp", "densenet121") else models.build(name)
    images = np.random.default_rng(0).random([2, *network.input_shape[1:]], dtype="float32")
    radius = 0.0 if name == "densenet121" else 1e-4  # of 121 untrained layers they go beyond float32
    lower, upper = IntervalBounds(network).logits(images, radius)
    logits = targets.KerasTarget(network).logits(images)
    assert (lower <= logits + 1e-4).numpy().all() and (upper >= logits - 1e-4).numpy().all()


@pytest.mark.parametrize(
    "layer, said",
    [
        (layers.Multiply(), "no bounds are known for multiply"),
        (layers.Activation("gelu"), "its activation does not grow"),
        (layers.Dense(3, activation="swish"), "its activation does not grow"),
        (layers.LayerNormalization(), "a LayerNormalization"),
    ],
)
def test_what_has_no_bounds_is_refused_by_name(layer, said):
    images = keras.Input([4])
    found = layer([images, images]) if isinstance(layer, layers.Multiply) else layer(images)
    with pytest.raises(InputError, match=said):
        IntervalBounds(keras.Model(images, layers.Dense(2)(found)))
