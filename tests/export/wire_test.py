"""What arrives of an image on its way to an artifact."""

import numpy as np
import pytest
import tensorflow as tf

from export import wire
from tests.support import classifiers
from tfrobust import evaluate, targets
from tfrobust.targets import tflite_reader

IMAGES = classifiers.random_images(6, (28, 28, 1), low=0, high=1)


@pytest.fixture(scope="module")
def ways(artifacts):
    return wire.ways(targets.load(artifacts.int8), channels=1)


def test_each_way_keeps_as_much_as_it_can(ways):
    assert list(ways) == ["uint8", "input", "png", "jpeg 95", "jpeg 75", "json 6", "json 3", "json 2"]
    error = {name: np.abs(way(IMAGES) - IMAGES).max() for name, way in ways.items()}
    assert error["uint8"] <= 0.5 / 255 + 1e-6 and error["json 3"] <= 0.5e-3 + 1e-6 and error["json 2"] <= 0.5e-2 + 1e-6
    np.testing.assert_array_equal(ways["png"](IMAGES), ways["uint8"](IMAGES))
    assert error["uint8"] < error["jpeg 95"] < error["jpeg 75"]  # noise is what JPEG keeps least of


def test_files_are_what_another_program_reads(ways):
    pixels = np.round(IMAGES * 255).astype("uint8")
    contents = tf.io.encode_jpeg(pixels[0], quality=75)
    expected = tf.io.decode_jpeg(contents, dct_method="INTEGER_ACCURATE").numpy() / np.float32(255)
    np.testing.assert_array_equal(ways["jpeg 75"](IMAGES)[0], expected)


def test_the_input_of_a_quantized_file_is_rounded_as_the_file_does_it(artifacts, ways):
    file = tflite_reader.read(artifacts.int8)
    (scale,), (zero_point,), _ = file.tensors[file.operations[0].outputs[0]].quantization
    steps = np.clip(np.round(IMAGES / scale) + zero_point, -128, 127)
    np.testing.assert_allclose(ways["input"](IMAGES), np.clip((steps - zero_point) * scale, 0, 1), atol=1e-6)
    assert "input" not in wire.ways(targets.load(artifacts.float32), channels=1)


def test_what_still_fools_is_counted_among_what_fooled():
    """A model that looks at one pixel, and an attack that moves it by less than files can hold."""

    def looks(images):
        bright = np.asarray(images)[:, 0, 0, 0]
        return np.stack([bright, np.full_like(bright, 0.5)], axis=1)

    images = np.full((4, 8, 8, 1), 0.2, "float32")
    images[:, 0, 0, 0] = [0.5005, 0.503, 0.55, 0.2]
    target = targets.FunctionTarget(looks, name="a pixel")
    (outcome,) = evaluate(target, images, [0, 0, 0, 1], ["square(linf(0.06), queries=300)"], progress=False).outcomes
    found = wire.survival(outcome, target)
    fooling = int((outcome.broken & outcome.examples.attacked).sum())
    assert fooling >= 3 and all(one["fooling"] == fooling >= one["still_fooling"] for one in found.values())
    assert found["json 6"]["still_fooling"] == fooling
