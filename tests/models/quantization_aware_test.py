"""A quantization-aware network computes as its int8 file, has that file's scales, and trains like any other."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from export.conversion import convert
from tests.support.classifiers import compiled, random_images
from tfrobust import InputError, defenses, models, targets
from tfrobust.layers import FakeQuantization, FakeQuantizedConv2D, FixedMask, Standardize, fake_quantization
from tfrobust.models.convolution import normalized_convolution

IMAGES = random_images(24, (12, 12, 3), low=0.0, high=1.0)
LABELS = np.arange(24) % 5


def preactivated():
    """What the rewriting tells apart: batch normalization to fold and to keep, two followers, fused and other activations."""
    images = keras.Input((12, 12, 3), name="image")
    x = Standardize([0.4, 0.5, 0.6], 0.5)(images)
    x = layers.Conv2D(6, 3, padding="same", name="first")(x)
    y = layers.ReLU()(layers.BatchNormalization(name="alone")(x))  # of two followers of the convolution
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(y)
    y = layers.ReLU(6.0)(layers.BatchNormalization(name="folded")(y))
    gate = layers.GlobalAveragePooling2D(keepdims=True)(y)
    gate = layers.Dense(6, activation="sigmoid", name="gate")(gate)
    x = layers.ReLU()(layers.Add()([x, layers.Multiply()([y, gate])]))
    x = layers.AveragePooling2D(2)(x)
    x = layers.Dense(8, activation="relu", name="dense")(layers.Flatten()(x))
    return keras.Model(images, layers.Dense(5, name="logits")(x), name="preactivated")


def masked():
    """As in the papers' networks: a mask between batch normalization and ReLU, and padding alike on all sides."""
    images = keras.Input((12, 12, 3), name="image")
    x = normalized_convolution(images, 6, 3, 1, "stem")
    x = layers.MaxPooling2D(2)(layers.ReLU()(FixedMask(0.5, seed=1)(x)))
    x = layers.ReLU()(normalized_convolution(x, 6, 3, 2, "last", padding="symmetric"))
    return keras.Model(images, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)), name="masked")


def shared():
    """Operations that are no layers, and layers that are called twice, one a batch normalization of two convolutions."""
    images = keras.Input((12, 12, 3), name="image")
    centered = 2.0 * images - 1.0
    branch, norm = layers.Conv2D(4, 3, strides=2, name="branch"), layers.BatchNormalization(name="norm")
    other = layers.Conv2D(4, 3, strides=2, use_bias=False, name="other")
    x = layers.Add()(
        [
            branch(centered),
            branch(layers.ReLU()(images)),
            norm(other(images)),
            norm(layers.Conv2D(4, 3, strides=2)(images)),
        ]
    )
    return keras.Model(images, layers.Dense(5)(layers.Flatten()(x)), name="shared")


def small():
    return keras.Sequential([keras.Input((12, 12, 3)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(5)])


def trained(build):
    """A network whose batch normalization has seen something."""
    keras.utils.set_random_seed(0)
    network, rng = build(), np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            channels = layer.moving_mean.shape
            layer.set_weights(
                [rng.uniform(0.5, 1.5, channels), *rng.normal(0, 0.2, (2, *channels)), rng.uniform(0.5, 2, channels)]
            )
    return network


@pytest.fixture(scope="module", params=[preactivated, masked, shared, small])
def pair(request):
    """A network, and it with fake quantization."""
    network = trained(request.param)
    return network, models.quantization_aware(network, IMAGES)


def ranges(network):
    return [layer for layer in network.layers if isinstance(layer, FakeQuantization)]


def interpreter(network):
    with_shape = Interpreter(model_content=convert(network, "int8"))
    with_shape.resize_tensor_input(0, IMAGES.shape)
    with_shape.allocate_tensors()
    return with_shape


def test_a_tensor_is_rounded_to_256_values_with_zero_among_them():
    layer = FakeQuantization(lowest=-1.0, highest=3.0)
    values = np.linspace(-2.0003, 4.0001, 1001, dtype="float32")  # no value between two
    scale = 4 / 255
    levels = np.clip(np.round(values / scale), -64, 191)  # the range is moved to hold zero
    np.testing.assert_allclose(layer(values), levels * scale, atol=scale / 2 + 1e-6)
    found = layer(values).numpy() / scale
    np.testing.assert_allclose(found, np.round(found), atol=1e-3)
    assert len(np.unique(np.round(found))) == 256 and 0.0 in found


def test_a_gradient_goes_through_between_the_ends_and_not_beyond():
    layer, values = FakeQuantization(lowest=-1.0, highest=3.0), tf.constant([-1.5, -0.5, 0.0, 2.9, 3.5])
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = tf.reduce_sum(layer(values))
    np.testing.assert_array_equal(tape.gradient(total, values), [0, 1, 1, 1, 0])


def test_each_channel_of_a_kernel_has_255_values_and_all_gradients():
    kernel = tf.random.stateless_normal([3, 3, 2, 4], [0, 1]) * [1.0, 10.0, 0.1, 0.0]
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        rounded = fake_quantization.fake_quantized(kernel)
    scale = np.abs(kernel).max(axis=(0, 1, 2)) / 127
    np.testing.assert_allclose(
        rounded[..., :3], np.round(kernel[..., :3] / scale[:3]) * scale[:3], rtol=1e-4, atol=1e-6
    )
    assert not np.any(rounded[..., 3])
    np.testing.assert_allclose(tape.gradient(rounded, kernel), np.ones(kernel.shape), atol=1e-5)


def test_without_rounding_it_is_the_network(pair, monkeypatch):
    network, aware = pair
    monkeypatch.setattr(fake_quantization, "fake_quantized", lambda kernel: kernel)
    monkeypatch.setattr(keras.quantizers, "fake_quant_with_min_max_vars", lambda inputs, *_, **__: inputs)
    np.testing.assert_allclose(aware(IMAGES), network(IMAGES), atol=1e-4)


def test_rounding_changes_little_and_something(pair):
    network, aware = pair
    change = np.abs(aware(IMAGES) - network(IMAGES)).max() / np.ptp(network(IMAGES))
    assert 1e-4 < change < 0.05


def test_its_file_computes_what_it_computes_in_integers_alone(pair):
    """But for the last step of a convolution's sum, and of an average."""
    aware = pair[1]
    file = interpreter(aware)
    kinds = {tensor["index"]: tensor["dtype"] for tensor in file.get_tensor_details()}
    for operation in file._get_ops_details():
        if operation["op_name"] not in ("QUANTIZE", "DEQUANTIZE", "DELEGATE"):
            assert not [
                place for place in (*operation["inputs"], *operation["outputs"]) if kinds.get(place) == np.float32
            ]
    file.set_tensor(0, IMAGES)
    file.invoke()
    steps = np.abs(file.get_tensor(file.get_output_details()[0]["index"]) - aware(IMAGES)) / scale_of(ranges(aware)[-1])
    assert steps.max() < 3.5 and np.mean(steps > 0.5) < 0.5


def test_its_file_has_its_scales(pair):
    """Those that its training ended with, not those of a calibration."""
    aware = pair[1]
    for layer in ranges(aware):
        if layer.momentum < 1:
            layer.highest.assign(layer.highest * 1.5)
    details = Interpreter(model_content=convert(aware, "int8")).get_tensor_details()
    found = [tensor["quantization_parameters"]["scales"] for tensor in details if tensor["dtype"] == np.int8]
    for layer in ranges(aware):
        assert any(len(scales) == 1 and np.isclose(scales[0], scale_of(layer), rtol=1e-5) for scales in found), (
            layer.name
        )
    kernels = [layer.weights[0].numpy() for layer in aware.layers if type(layer).__name__.startswith("FakeQuantized")]
    for kernel in kernels:
        channels = kernel.reshape([-1, np.prod(kernel.shape[2:]) if kernel.shape[-1] == 1 else kernel.shape[-1]])
        expected = np.abs(channels).max(axis=0) / 127
        assert any(scales.shape == expected.shape and np.allclose(scales, expected, rtol=1e-5) for scales in found)


def scale_of(layer):
    return float(layer.highest - layer.lowest) / 255


def test_a_saved_one_is_the_same(pair, tmp_path):
    aware = pair[1]
    aware.save(tmp_path / "aware.keras")
    loaded = targets.load_model(tmp_path / "aware.keras")
    assert models.is_aware(loaded)
    np.testing.assert_array_equal(loaded(IMAGES), aware(IMAGES))


@pytest.mark.parametrize(
    "defend",
    [
        lambda network: network,
        lambda network: defenses.AdversarialTraining(network, "pgd(linf(0.05), steps=2)"),
        lambda network: defenses.TRADES(network, "pgd(linf(0.05), steps=2)"),
        lambda network: defenses.DeepDefense(network, steps=2, lam=1.0),
        defenses.Parseval,
    ],
    ids=["plain", "adversarial", "trades", "deep_defense", "parseval"],
)
def test_it_trains_in_every_defense(defend):
    """Kernels and ranges move; the ranges by training alone, not by the attack, whose network does not train."""
    aware = models.quantization_aware(trained(small), IMAGES)
    before = [(float(layer.lowest), float(layer.highest)) for layer in ranges(aware)]
    kernels = [variable.numpy() for variable in aware.trainable_variables]
    aware(2 * IMAGES)
    assert before == [(float(layer.lowest), float(layer.highest)) for layer in ranges(aware)]
    compiled(defend(aware), rate=0.01).fit(IMAGES, LABELS, batch_size=12, epochs=1, verbose=0)
    for old, new in zip(kernels, aware.trainable_variables, strict=True):
        assert np.isfinite(new.numpy()).all() and np.any(old != new.numpy())
    after = [(float(layer.lowest), float(layer.highest)) for layer in ranges(aware)]
    assert before[0] == after[0] == (0.0, 1.0) and all(one != other for one, other in zip(before[1:], after[1:]))


def test_a_range_is_the_moving_average_of_those_of_the_batches():
    layer = FakeQuantization(momentum=0.75, lowest=-1.0, highest=1.0)
    layer(np.float32([-3.0, 5.0]), training=True)
    assert (float(layer.lowest), float(layer.highest)) == (-1.5, 2.0)
    layer(np.float32([7.0, 9.0]), training=False)
    layer(np.float32([1.0, 2.0]), training=True)  # zero is always in it
    assert (float(layer.lowest), float(layer.highest)) == (-1.125, 2.0)


def test_what_cannot_be_done_is_said():
    network = trained(small)
    aware = models.quantization_aware(network, IMAGES)
    assert not models.is_aware(network) and isinstance(aware.layers[2], FakeQuantizedConv2D)
    with pytest.raises(InputError, match="quantization-aware already"):
        models.quantization_aware(aware, IMAGES)
    with pytest.raises(InputError, match="not made of layers alone"):
        models.quantization_aware(defenses.ensemble([network, small()]), IMAGES)
    with pytest.raises(InputError, match="float16 would not be what it has learned"):
        convert(aware, "float16")
    with pytest.raises(ValueError, match="hold zero"):
        FakeQuantization(lowest=1.0, highest=2.0)
