"""An artifact that computes something else than its reference is told from one that rounds."""

import keras
import numpy as np
import pytest

from export import conformance, tflite
from tests.support import tampering
from tfrobust import data, targets

TEST = data.load("digits", "test").take(60).floats()


@pytest.fixture(scope="module")
def model(artifacts):
    return keras.saving.load_model(artifacts.model, compile=False)


@pytest.fixture(scope="module")
def reference(artifacts):
    return targets.load(artifacts.model)


@pytest.mark.parametrize("mode", tflite.MODES)
def test_honest_files_are_within_the_limit_of_their_precision(model, reference, tmp_path, mode):
    (tmp_path / "honest.tflite").write_bytes(
        tflite.convert(model, mode, data.load("digits", "train").take(200).floats())
    )
    target = targets.load(tmp_path / "honest.tflite")
    assert conformance.precision_of(target) == mode
    found = conformance.difference(reference, target, TEST)
    assert found.relative_rms < conformance.LIMITS[mode] and found.largest_between_batches <= found.largest + 1e-6
    assert conformance.missed("honest", mode, conformance.LIMITS[mode], {"clean": found}) == []


CHANGES = {
    **{f"layer {layer} scaled": tampering.scaled(layer) for layer in range(4)},
    "one filter zero": tampering.without_a_filter,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_files_that_were_tampered_with_are_not(artifacts, reference, tmp_path, kind, change):
    target = targets.load(tampering.rewritten(getattr(artifacts, kind), tmp_path / "changed.tflite", CHANGES[change]))
    found = conformance.difference(reference, target, TEST)
    (line,) = conformance.missed("changed.tflite", kind, conformance.LIMITS[kind], {"clean": found})
    assert f"changed.tflite: its logits on clean images differ from the reference's by {found.relative_rms:.2g}" in line


def test_a_file_calibrated_on_noise_is_not(model, reference, tmp_path):
    noise = np.random.default_rng(0).random((200, 28, 28, 1), "float32")
    (tmp_path / "noise.tflite").write_bytes(tflite.convert(model, "int8", noise))
    found = conformance.difference(reference, targets.load(tmp_path / "noise.tflite"), TEST)
    assert found.relative_rms > conformance.LIMITS["int8"]


ROWS = (5 * np.eye(3) + [-0.3, -0.2, -0.1]).astype("float32")  # logits that say 0, 1 and 2


def test_flips_are_counted_by_the_class_of_the_reference():
    shown = np.zeros((4, 1, 1, 1), "float32")
    one, other = (
        targets.FunctionTarget(lambda images, kept=kept: ROWS[kept[: len(images)]], name="fixed")
        for kept in ([0, 1, 1, 2], [0, 2, 0, 2])
    )
    found = conformance.difference(one, other, shown)
    assert (found.flip_rate, found.flips_by_class) == (0.5, {1: 2})
