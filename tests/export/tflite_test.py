"""What every precision of a TFLite file promises to the device that runs it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from export import tflite
from tests.support import classifiers
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
