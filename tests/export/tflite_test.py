"""What every precision of a TFLite file promises to the device that runs it."""

import re
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from export import runtime, tflite
from tests.support import classifiers, programs
from tfrobust import InputError, models, targets

IMAGES = classifiers.random_images(20, (28, 28, 1))
WEIGHTS = {"float32": np.float32, "float16": np.float16, "dynamic": np.int8, "int8": np.int8, "int16x8": np.int8}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return models.lenet(mean=0.3)


@pytest.fixture(scope="module", params=tflite.MODES)
def converted(request, model, tmp_path_factory):
    """The precision, and a file of it."""
    path = tmp_path_factory.mktemp("tflite") / f"{request.param}.tflite"
    path.write_bytes(tflite.convert(model, request.param, IMAGES))
    return request.param, path


def test_input_and_output_stay_float32(converted):
    _, path = converted
    interpreter = Interpreter(model_path=str(path))
    (given,), (gives,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert given["dtype"] == gives["dtype"] == np.float32
    assert list(given["shape"][1:]) == [28, 28, 1] and list(gives["shape"][1:]) == [10]


def test_weights_have_the_precision_that_was_asked_for(converted):
    mode, path = converted
    tensors = Interpreter(model_path=str(path)).get_tensor_details()
    fc1 = [tensor["dtype"] for tensor in tensors if np.prod(tensor["shape"]) == 800 * 500]
    assert min(fc1, key=lambda dtype: np.dtype(dtype).itemsize) == WEIGHTS[mode]  # float16 is unpacked before its use
    assert (np.int16 in {tensor["dtype"] for tensor in tensors}) == (mode == "int16x8")


def test_only_built_in_operations_are_needed(converted):
    _, path = converted
    names = {operation["op_name"] for operation in Interpreter(model_path=str(path))._get_ops_details()}
    assert "FULLY_CONNECTED" in names and not [name for name in names if name.startswith(("Flex", "CUSTOM"))]


def test_batches_of_any_size_give_the_same_logits(converted):
    """But for the kernels' rounding."""
    _, path = converted
    target = targets.load(path)
    expected = target.predictor()(IMAGES[:6])
    for size in (1, 2, 3):
        found = np.concatenate([target.predictor()(IMAGES[at : at + size]) for at in range(0, 6, size)])
        np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())


def test_an_operation_that_tflite_lacks_is_named():
    def count(x):
        return x[:, 0, :, 0] * tf.math.bincount(tf.cast(x, tf.int32), minlength=4, maxlength=4, dtype=tf.float32)

    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Lambda(count)])
    with pytest.raises(InputError, match=r"cannot be written as float32 TFLite.*DenseBincount"):
        tflite.convert(model)


def test_a_file_is_run_before_it_appears(artifacts, tmp_path):
    output = programs.succeed("export.tflite", f"--model={artifacts.model}", f"--output={tmp_path / 'lenet.tflite'}")
    for name in ("under XNNPACK", "without a delegate"):
        assert re.search(rf"runs {name}: [\d.]+ ms for a batch of 1, [\d.]+ ms for a batch of 4, \d+ MiB", output)
    assert re.search(r"litert-benchmark: [\d.]+ ms a batch", output)


def test_integers_at_both_ends_need_integers_between_them(artifacts, tmp_path):
    flags = (f"--model={artifacts.model}", f"--output={tmp_path / 'lenet.tflite'}", "--io_type=uint8")
    process = programs.run("export.tflite", *flags)
    assert process.returncode == 2 and "--io_type=uint8 needs --quantize=int8" in programs.errors(process)[0]


@pytest.fixture(scope="module")
def squeezed(tmp_path_factory):
    """A SENet, whose int8 file XNNPACK does not take, and images that calibrate it."""
    keras.utils.set_random_seed(0)
    folder, images = tmp_path_factory.mktemp("senet"), classifiers.random_images(20, (32, 32, 3), low=0, high=1)
    models.senet18(width=8).save(folder / "model.keras")
    np.savez(folder / "images.npz", images=images, labels=np.arange(20) % 10)
    return [f"--model={folder / 'model.keras'}", "--quantize=int8", f"--calibration={folder / 'images.npz'}"]


def test_what_does_not_run_under_the_default_is_refused_by_name_and_can_be_exported_all_the_same(squeezed, tmp_path):
    process = programs.run("export.tflite", *squeezed, f"--output={tmp_path / 'senet.tflite'}")
    assert process.returncode == 1 and "failed: nothing was exported" in process.stdout
    assert re.search(r"does not run under XNNPACK in a batch of 1: .*failed to prepare", process.stdout)
    assert "runs without a delegate" in process.stdout and not list(tmp_path.iterdir())
    output = programs.succeed(
        "export.tflite", *squeezed, "--norequire_xnnpack", f"--output={tmp_path / 'senet.tflite'}"
    )
    assert "does not run under XNNPACK" in output and [path.name for path in tmp_path.iterdir()] == ["senet.tflite"]


@pytest.mark.parametrize(
    "code, said",
    [("import os; os.kill(os.getpid(), 11)", "ended by signal 11"), ("raise OSError('no room')", "OSError: no room")],
)
def test_a_crash_is_reported_and_stays_in_its_process(monkeypatch, tmp_path, code, said):
    (tmp_path / "python").write_text(f"#!{sys.executable}\n{code}\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert [one.error for one in runtime.run("any.tflite")] == [f"the process {said}"] * 2
