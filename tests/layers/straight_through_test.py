"""Another's gradient: answers to the bit, gradients of the stand-in, and how a model declares it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import InputError, layers
from tfrobust.attacks import Problem
from tfrobust.objectives import margin

IMAGES = tf.constant(classifiers.random_images(3, (8, 8, 3)))
UPSTREAM = tf.constant(classifiers.random_images(3, (8, 8, 3), seed=1))


@keras.saving.register_keras_serializable(package="straight_through_test")
def compress(images):
    return tf.map_fn(lambda image: tf.image.adjust_jpeg_quality(image, 50), images)


@keras.saving.register_keras_serializable(package="straight_through_test")
def double(x):
    return 2.0 * x


WITHOUT_A_PATH = {
    "round": lambda x: tf.round(4.0 * x) / 4.0,
    "jpeg": compress,
    "hue": lambda x: tf.image.adjust_hue(x, 0.1),  # its gradient raises
    "uint8": lambda x: tf.cast(3.7 * x, tf.uint8),
}


@pytest.mark.parametrize("wrap", [lambda f: f, lambda f: tf.function(f, autograph=False)], ids=["eager", "graph"])
@pytest.mark.parametrize("make", [layers.straight_through, layers.StraightThrough])
@pytest.mark.parametrize("name", WITHOUT_A_PATH)
def test_answers_as_the_function_and_has_the_gradient_of_the_stand_in(name, make, wrap):
    function = WITHOUT_A_PATH[name]

    def differentiated(backward):
        def run():
            with tf.GradientTape() as tape:
                tape.watch(IMAGES)
                answer = make(function, backward)(IMAGES)
            return answer, tape.gradient(answer, IMAGES, output_gradients=UPSTREAM)

        return wrap(run)()

    for backward, slope in ((None, 1.0), (double, 2.0)):
        answer, gradient = differentiated(backward)
        np.testing.assert_array_equal(answer, tf.cast(function(IMAGES), tf.float32))
        np.testing.assert_array_equal(gradient, slope * UPSTREAM)


def network(*first):
    keras.utils.set_random_seed(0)
    head = keras.Sequential([keras.Input((8, 8, 3)), *first])
    return keras.Sequential([keras.Input((8, 8, 3)), head, keras.layers.Flatten(), keras.layers.Dense(4)])


def test_a_model_is_saved_with_it_and_declares_it(tmp_path):
    model = network(layers.StraightThrough(compress), layers.StraightThrough(keras.layers.Dense(3), double))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(IMAGES), model(IMAGES))
    for each in (model, loaded):
        first, second = sorted(layers.stand_ins(each), key=lambda layer: layer.function != compress)
        assert (first.function, first.backward, second.backward) == (compress, None, double)
        assert isinstance(second.function, keras.layers.Dense)
    assert layers.stand_ins(network(keras.layers.Dense(3))) == []


def test_a_wrapped_defense_has_a_gradient_again():
    labels = np.zeros(3, "int32")
    plain, wrapped = (
        network(layer) for layer in (keras.layers.Lambda(compress, (8, 8, 3)), layers.StraightThrough(compress))
    )
    np.testing.assert_array_equal(wrapped(IMAGES), plain(IMAGES))
    gradients = [Problem(model, IMAGES, labels).value_and_gradient(margin, IMAGES)[1] for model in (plain, wrapped)]
    assert (gradients[0] == 0).numpy().all() and (gradients[1] != 0).numpy().all()


def test_weights_of_what_is_wrapped_are_trained_by_their_own_gradients():
    dense = keras.layers.Dense(3)
    layer, plain = layers.StraightThrough(dense, double), keras.layers.Dense(3)
    layer(IMAGES), plain(IMAGES)
    plain.set_weights(dense.get_weights())
    found = []
    for each in (layer, plain):
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(each(IMAGES) ** 2)
        found.append(tape.gradient(value, each.trainable_variables))
    assert len(found[0]) == 2
    for one, other in zip(*found):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_what_cannot_be_wrapped_is_refused():
    for arguments in ((3,), (tf.round, "identity")):
        for make in (layers.StraightThrough, layers.straight_through):
            with pytest.raises(InputError, match="must be a layer or a function"):
                make(*arguments)
    with pytest.raises(InputError, match=r"gives \(3, 8, 8, 1\), but what its gradient is taken of \(3, 8, 8, 3\)"):
        layers.straight_through(lambda x: x[..., :1])(IMAGES)
