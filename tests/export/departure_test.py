"""Which tensor of a quantized file is the first to differ from the float32 file."""

import pytest

from export import departure
from tests.support import tampering
from tfrobust import data
from tfrobust.targets import tflite_reader

TEST = data.load("digits", "test").take(8).floats()


def test_every_tensor_of_the_float32_file_is_compared_in_order(artifacts):
    found = departure.by_tensor(artifacts.int8, artifacts.float32, TEST)
    file = tflite_reader.read(artifacts.float32)
    computed = [file.tensors[one.outputs[0]] for one in file.operations]
    assert [one.tensor for one in found] == [tensor.name for tensor in computed if tensor.dtype == "float32"]
    assert all(0 <= one.relative_rms < 0.05 for one in found)


@pytest.mark.parametrize("layer, name", list(enumerate(["conv1", "conv2", "fc1", "fc2"])))
def test_a_layer_that_was_changed_is_named(artifacts, tmp_path, layer, name):
    path = tampering.rewritten(artifacts.int8, tmp_path / "changed.tflite", tampering.scaled(layer))
    found = departure.first(departure.by_tensor(path, artifacts.float32, TEST))
    assert found.operation in ("CONV_2D", "FULLY_CONNECTED") and found.growth > 0.02
    assert f"/{name}" in found.tensor or (name == "fc2" and found.tensor == "logits")


def test_a_file_beside_itself_departs_nowhere(artifacts):
    found = departure.by_tensor(artifacts.float32, artifacts.float32, TEST)
    assert {one.relative_rms for one in found} == {0.0} and departure.first([]) is None
