"""Whether the constants of a file are those of its reference."""

import keras
import numpy as np
import pytest

from export import tflite, weights
from tests.support import classifiers, tampering
from tfrobust import data, models

CHANGES = {f"layer {layer} scaled": tampering.scaled(layer) for layer in range(4)} | {
    "one filter zero": tampering.without_a_filter
}


@pytest.mark.parametrize("mode", tflite.MODES)
def test_an_honest_file_has_the_references_constants(artifacts, tmp_path, mode):
    model = keras.saving.load_model(artifacts.model, compile=False)
    images = data.load("digits", "train").take(50).floats()
    (tmp_path / "honest.tflite").write_bytes(tflite.convert(model, mode, images))
    assert weights.changed(tmp_path / "honest.tflite", artifacts.float32) == []


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_the_layer_that_was_changed_is_named(artifacts, tmp_path, kind, change):
    path = tampering.rewritten(getattr(artifacts, kind), tmp_path / "changed.tflite", CHANGES[change])
    (found,) = weights.changed(path, artifacts.float32)
    convolution = change in ("layer 0 scaled", "layer 1 scaled", "one filter zero")
    assert found.steps > 5 and found.operation == ("CONV_2D" if convolution else "FULLY_CONNECTED")


def test_a_small_change_deep_in_a_network_is_found(tmp_path):
    """Of 21 layers, whose rounding alone moves the logits by more than that."""
    keras.utils.set_random_seed(0)
    model, images = (
        models.build("resnet18", width=4, masks="shallow=0.5"),
        classifiers.random_images(8, (32, 32, 3), low=0, high=1),
    )
    for name, mode in (("float32", "float32"), ("int8", "int8")):
        (tmp_path / f"{name}.tflite").write_bytes(tflite.convert(model, mode, images))
    assert weights.changed(tmp_path / "int8.tflite", tmp_path / "float32.tflite") == []

    def flip(file):
        tensor = tampering.weights(file)[10]
        values = np.array(file.buffers[tensor.buffer].data, "uint8")
        values[7] ^= 4
        file.buffers[tensor.buffer].data = values

    changed = tampering.rewritten(tmp_path / "int8.tflite", tmp_path / "changed.tflite", flip)
    (found,) = weights.changed(changed, tmp_path / "float32.tflite")
    assert found.operation == "CONV_2D" and 3 <= found.steps <= 5


def test_files_of_different_networks_have_nothing_in_common(artifacts, tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])
    (tmp_path / "other.tflite").write_bytes(tflite.convert(model))
    assert weights.changed(tmp_path / "other.tflite", artifacts.float32) is None
