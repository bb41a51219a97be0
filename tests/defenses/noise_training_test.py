"""Training on noise: what the network sees."""

import keras
import numpy as np
import pytest

from tfrobust.defenses import NoiseTraining
from tfrobust.defenses.defense import Batch
from tfrobust.errors import InputError


def model(sigma=0.25):
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input([6, 6, 1]), keras.layers.Flatten(), keras.layers.Dense(3)])
    made = NoiseTraining(network, sigma, seed=1)
    made.compile(keras.optimizers.SGD(0.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return made


def test_images_have_noise_of_that_deviation_new_in_each_step_and_the_same_in_validation():
    made, images = model(), np.random.default_rng(0).random([200, 6, 6, 1], dtype="float32")
    batch = Batch(images, np.zeros(200, "int32"), None)
    noise = made.attacked(batch, training=True).images - images
    assert np.std(noise) == pytest.approx(0.25, rel=0.05) and abs(np.mean(noise)) < 0.02
    made.optimizer.iterations.assign(1)
    assert (made.attacked(batch, training=True).images - images != noise).numpy().mean() > 0.99
    first, second = (made.attacked(batch, training=False).images for _ in range(2))
    np.testing.assert_array_equal(first, second)
    # An image has its noise wherever it is.
    turned = made.attacked(batch._replace(images=images[::-1]), training=False).images
    np.testing.assert_array_equal(turned[::-1], first)


def test_a_sigma_that_is_not_positive_is_refused():
    with pytest.raises(InputError, match="sigma"):
        model(sigma=0.0)
