"""Loss, optimizer, schedule and precision as a configuration asks."""

import keras
import numpy as np
import pytest

from tests.support import classifiers
from tfrobust import InputError, models
from trainers import optimization
from trainers.optimization import OptimizationConfig


def rates(steps, **settings):
    """The learning rate at some of the 60 steps of six epochs."""
    optimizer = optimization.make_optimizer(OptimizationConfig(**settings), steps_per_epoch=10, epochs=6)
    return [float(optimizer._learning_rate(step)) for step in steps]


def test_weight_decay_goes_through_the_momentum():
    """v <- 0.5 v - 0.1 (g + 0.2 w); w <- w + v, with g = 1: from 1, by -0.12 and then by -0.06 - 0.1176."""
    config = OptimizationConfig(learning_rate=0.1, momentum=0.5, weight_decay=0.2)
    optimizer = optimization.make_optimizer(config, steps_per_epoch=1, epochs=1)
    weight = keras.Variable([1.0])
    for expected in (0.88, 0.88 - 0.06 - 0.1 * (1 + 0.2 * 0.88)):
        optimizer.apply_gradients([(np.ones(1, "float32"), weight)])
        np.testing.assert_allclose(weight, [expected], rtol=1e-6)


def test_two_optimizers_keep_to_their_own_configurations():
    """Made before either is used, and used in turn: w <- w - 0.1 (g + decay w) with g = 1 and w = 1."""
    decays = (0.0, 0.5, 1.0)
    configs = [OptimizationConfig(learning_rate=0.1, momentum=0.0, weight_decay=decay) for decay in decays]
    optimizers = [optimization.make_optimizer(config, steps_per_epoch=1, epochs=1) for config in configs]
    weights = [keras.Variable([1.0]) for _ in configs]
    for optimizer, weight in zip(optimizers, weights):
        optimizer.apply_gradients([(np.ones(1, "float32"), weight)])
    np.testing.assert_allclose(np.ravel(weights), [0.9, 0.85, 0.8], rtol=1e-6)


def test_learning_rate_drops_after_the_given_epochs():
    found = rates((0, 19, 21, 49, 51), learning_rate=0.8, learning_rate_drops=(2, 5), learning_rate_factor=0.5)
    np.testing.assert_allclose(found, [0.8, 0.8, 0.4, 0.4, 0.2], rtol=1e-6)


def test_a_cosine_falls_from_the_rate_to_zero():
    np.testing.assert_allclose(rates((0, 30, 60), learning_rate=0.8, schedule="cosine"), [0.8, 0.4, 0.0], atol=1e-6)


def test_one_cycle_rises_for_a_third_of_the_steps_and_falls_to_zero():
    found = rates((0, 10, 20, 40, 60), learning_rate=0.8, schedule="one_cycle")
    np.testing.assert_allclose(found, [0.0, 0.4, 0.8, 0.4, 0.0], atol=1e-6)


def test_drops_without_the_step_schedule_are_refused():
    with pytest.raises(InputError, match="belongs to --schedule=step"):
        OptimizationConfig(schedule="cosine", learning_rate_drops=(2,))


@pytest.mark.parametrize("drops", [(8, 4), (4, 4), (0,), (-4,)])
def test_epochs_of_learning_rate_drops_rise(drops):
    with pytest.raises(InputError, match="rising epochs"):
        OptimizationConfig(learning_rate_drops=drops)


def test_label_smoothing_spreads_probability_over_all_classes():
    """Targets of two classes: 0.9 and 0.1; the logits give 3/4 and 1/4."""
    loss = optimization.make_loss(OptimizationConfig(label_smoothing=0.2))
    logits = np.log(np.array([[3.0, 1.0], [1.0, 3.0]], "float32"))
    expected = -0.9 * np.log(0.75) - 0.1 * np.log(0.25)
    np.testing.assert_allclose(loss(np.array([0, 1]), logits), expected, rtol=1e-6)


def test_mixed_precision_computes_in_16_bits_and_keeps_weights_preprocessing_and_logits_in_32():
    network = models.build("vgg11", width=4)
    mixed = optimization.in_precision(network, "mixed_bfloat16")
    assert mixed.get_layer("group0_conv1").compute_dtype == "bfloat16"
    assert {weight.dtype for weight in mixed.trainable_weights} == {"float32"}
    images = classifiers.random_images(4, (32, 32, 3))
    logits = mixed(images)
    assert mixed.get_layer("preprocessing").compute_dtype == "float32" and logits.dtype == "float32"
    difference = keras.ops.max(keras.ops.abs(logits - network(images)))
    assert 0 < difference < 0.05 * keras.ops.max(keras.ops.abs(logits))
