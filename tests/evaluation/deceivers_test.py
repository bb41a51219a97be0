"""Every model made to deceive is warned of, by what it does; networks that hide nothing are not.

Where gradients are masked, that shows without any attack; what only an attack can show has one.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from export import conversion
from tests.support import deceivers, shared
from tfrobust import data, evaluate, models

pytestmark = shared.needs_golden
ATTACK = "pgd(linf(0.15), steps=20)"
MINOR = {"N", "GRID"}  # not about the model, and true of few images

GRADIENT = {"SHATTERED"}
NONE = {"ZEROGRAD", "NONDIFF"}
EXPECTED = {
    "gradient of the wrong sign": GRADIENT,
    "random but deterministic gradient": GRADIENT,
    "stop_gradient plus a decoy": GRADIENT,
    "sigmoid outputs": {"LOGITS"},
    "logits x 0.001": {"LOGITS"},
    "logits x 1000": {"LOGITS"},
    "noise keyed by a hash": GRADIENT,
    "rounding layer": NONE,
    "one of two members masked": GRADIENT,
    "two of three members masked": GRADIENT,
    "member hidden, one of five": GRADIENT,
    "JPEG": NONE,
    "thermometer encoding": NONE,
    "smooth staircase": GRADIENT,
    "half of the gradient's signs flipped": GRADIENT,
    "a tenth of the gradient": GRADIENT,
    "noise on the gradient": GRADIENT,
    "gradient at the clean images only": GRADIENT,
    "random resizing": {"RANDOM"},
    "dropout at inference": {"RANDOM"},
    "random answers behind an offset": {"RANDOM"},
    "batch-dependent": {"BATCH"},
    "inner optimization": {"LOOP"},
    "half of the classes without gradient": {"ZEROGRAD"},
    "clipped logits": {"ZEROGRAD"},
    "bucketed logits": NONE,
    "tanh of logits": {"LOGITS"},
    "binarized, straight through": GRADIENT,
}
BY_ATTACK = {
    "x + 0.02 sin(500 x)": {"SHATTERED", "BLACK>WHITE"},
    "root, then square": GRADIENT,
    "answers that a detector decides": {"ZEROGRAD"},
}


@pytest.fixture(scope="module")
def lenet():
    network = shared.reference_lenet()
    return lambda images: network(images, training=False)


@pytest.fixture(scope="module")
def examples():
    golden = shared.golden("deepfool_lenet_mnist")
    return golden["images"], golden["labels"]


def warned(logits_fn, images, labels, attacks=()):
    """The codes of an evaluation's warnings."""
    target = deceivers.Wrapped(logits_fn, images.shape[1:])
    found = evaluate(target, images, labels, list(attacks), progress=False).report["warnings"]
    assert all(warning["evidence"] and warning["remedy"] for warning in found)
    return {warning["code"] for warning in found}


def test_all_deceivers_are_tested():
    assert {*EXPECTED, *BY_ATTACK} == set(deceivers.DECEIVERS)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_deceiver_is_warned_of(name, lenet, examples):
    images, labels = (part[:60] for part in examples)
    assert EXPECTED[name] <= warned(deceivers.DECEIVERS[name](lenet), images, labels)


@pytest.mark.parametrize("name", deceivers.HONEST)
def test_an_honest_network_is_not_warned_of(name, lenet, examples):
    assert warned(deceivers.HONEST[name](lenet), *(part[:60] for part in examples)) == set()


def test_a_deceiver_in_half_precision_is_warned_of(lenet, examples):
    """Its answers to the smallest steps are rounding: nothing can be said of them, and not that they are as predicted."""
    deceiver = deceivers.DECEIVERS["random but deterministic gradient"](lenet)
    in_half_precision = deceivers.HONEST["bfloat16 answers"](deceiver)
    assert warned(in_half_precision, *(part[:60] for part in examples)) >= GRADIENT


def test_a_curved_network_of_large_images_is_not_warned_of():
    """A step of as much a pixel is longer in a larger image."""
    generator = np.random.default_rng(0)
    images = generator.normal(0.5, 0.01, [20, 224, 224, 3]).astype("float32")
    signs = generator.choice([-1.0, 1.0], images.shape[1:])
    signs = (signs / np.linalg.norm(signs)).astype("float32")

    def logits_fn(images):
        away = images - 0.5
        margin = 20.0 + 20.0 * tf.reduce_sum(away * signs + 0.03 * tf.square(away), axis=[1, 2, 3])
        return tf.stack([margin, -margin], axis=1)

    assert "SHATTERED" not in warned(logits_fn, images, np.zeros(len(images), int))


@pytest.mark.parametrize("name", BY_ATTACK)
def test_a_deceiver_is_warned_of_by_how_attacks_end(name, lenet, examples):
    assert BY_ATTACK[name] <= warned(deceivers.DECEIVERS[name](lenet), *examples, [ATTACK])


def test_an_attack_on_the_reference_network_is_not_warned_of(lenet, examples):
    assert warned(lenet, *examples, [ATTACK]) <= MINOR


def test_an_attack_of_too_few_and_short_steps(lenet, examples):
    assert {"CONVERGED", "INCOMPLETE"} <= warned(lenet, *examples, ["pgd(linf(0.15), steps=8, step_size=0.005)"])


def test_nothing_is_asked_beyond_the_attacks_where_that_is_not_wanted(lenet, examples):
    target = deceivers.Wrapped(deceivers.DECEIVERS["rounding layer"](lenet), (28, 28, 1))
    found = evaluate(target, *examples, [], active_checks=False, progress=False)
    assert found.report["warnings"] == []


def test_defects_of_some_images_only_show_wherever_they_stand(lenet, examples):
    images, labels = examples
    order = np.argsort(-labels, kind="stable")  # those without gradient come last
    codes = warned(deceivers.DECEIVERS["half of the classes without gradient"](lenet), images[order], labels[order])
    assert "ZEROGRAD" in codes


def trained(network, epochs, examples=60, **options):
    """(logits_fn, images, labels) of a network trained on digits, and some test images."""
    train, test = data.load("digits", "train"), data.load("digits", "test").take(examples)
    logits_fn = deceivers.trained(network, train.floats(), train.labels, epochs=epochs, **options)
    return logits_fn, test.floats(), test.labels % options.get("classes", 10)


def test_winners_take_all():
    """Its kinks are few beside an image, and many on the way of an attack."""
    network = trained(deceivers.convolutional(deceivers.Winners), 3, examples=200)
    assert {"SHATTERED", "BLACK>WHITE"} & warned(*network, ["pgd(linf(0.15), steps=20)"])


def test_defensive_distillation():
    assert "LOGITS" in warned(*trained(deceivers.convolutional(keras.layers.ReLU), 5, temperature=100.0))


@pytest.mark.parametrize(
    ("make", "epochs", "classes"),
    [
        (lambda: models.mlp(std=1.0), 4, 10),
        (lambda: deceivers.convolutional(lambda: keras.layers.Activation("gelu")), 3, 10),
        (lambda: deceivers.convolutional(keras.layers.ReLU), 3, 2),
    ],
    ids=["mlp", "gelu", "two classes"],
)
def test_trained_networks_are_not_warned_of(make, epochs, classes):
    assert warned(*trained(make(), epochs, classes=classes)) == set()


def test_a_residual_network_with_batch_normalization_is_not_warned_of(examples):
    images, labels = (part[:40] for part in examples)
    keras.utils.set_random_seed(0)
    network = models.resnet18((28, 28, 1), width=2)
    for _ in range(3):
        network(images, training=True)  # moving statistics
    logits = network(images, training=False).numpy()
    scale = 8.0 / logits.std(axis=1).mean()
    labels = (logits - logits.mean(axis=0)).argmax(axis=1)
    assert warned(lambda x: scale * (network(x, training=False) - logits.mean(axis=0)), images, labels) == set()


def test_the_checks_cost_less_than_pgd_with_40_steps(lenet, examples):
    images, labels = (part[:48] for part in examples)
    asked, differentiated = [], []

    def counted_in(counter, x):
        return tf.ensure_shape(
            tf.numpy_function(lambda part: counter.append(len(part)) or part, [x], tf.float32), x.shape
        )

    @tf.custom_gradient
    def counted(x):
        return counted_in(asked, x), lambda upstream: -counted_in(differentiated, upstream)

    target = deceivers.Wrapped(lambda x: lenet(counted(x)), (28, 28, 1))
    evaluate(target, images, labels, [ATTACK], active_checks=False, progress=False)
    before = sum(asked), sum(differentiated)
    codes = {found["code"] for found in evaluate(target, images, labels, [ATTACK], progress=False).report["warnings"]}
    forward, backward = sum(asked) - 2 * before[0], sum(differentiated) - 2 * before[1]
    assert backward < 40 * len(images) and forward + backward < 81 * len(images)
    assert {
        "SHATTERED",
        "BLACK>WHITE",
        "UNBOUNDED",
        "ACTIVETEST",
    } <= codes  # a gradient of the wrong sign: all checks run


def clipped(network):
    """Its logits between 0 and 6: for most images all of them are at one of the limits."""
    return keras.Model(network.inputs, keras.layers.ReLU(6.0)(network.outputs[0]))


@pytest.mark.parametrize("change, hides", [(clipped, True), (lambda network: network, False)])
def test_a_file_is_looked_at_by_its_own_graph(tmp_path, examples, change, hides):
    """Of integers: what they round away is no deceit."""
    images, labels = examples
    path = tmp_path / "int8.tflite"
    path.write_bytes(conversion.convert(change(shared.reference_lenet()), "int8", images))
    found = evaluate(str(path), images, labels, [ATTACK], progress=False).report["warnings"]
    codes = {warning["code"] for warning in found} - MINOR
    assert "ZEROGRAD" in codes if hides else not codes
