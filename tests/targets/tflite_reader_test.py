"""TFLite files are checked before the interpreter sees them: what contradicts itself is refused in one line."""

import random

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from export.conversion import convert
from tests.support import classifiers
from tests.support.tampering import rewritten
from tfrobust import InputError, targets
from tfrobust.targets.tflite_reader import read


def test_reads_what_the_file_says(artifacts):
    file = read(artifacts.int8)
    kinds = [operation.kind for operation in file.operations]
    assert kinds[:3] == ["QUANTIZE", "SUB", "CONV_2D"] and kinds[-1] == "DEQUANTIZE"
    kernel = file.tensors[file.operations[2].inputs[1]]
    assert kernel.value.dtype == np.int8 and kernel.value.shape == kernel.shape == (20, 5, 5, 1)
    assert kernel.quantization.scale.shape == (20,) and kernel.quantization.along(
        kernel.quantization.scale, 4
    ).shape == (20, 1, 1, 1)
    assert file.tensors[file.input].shape == (1, 28, 28, 1) and file.maker(file.outputs[0]).kind == "FULLY_CONNECTED"


def changed(artifacts, path, change):
    """The int8 file with a change of its unpacked form."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(artifacts.int8.read_bytes()), 0)
    change(model, model.subgraphs[0])
    path.write_bytes(bytes(flatbuffer_utils.convert_object_to_bytearray(model)))
    return path


def assign(path, value):
    """A change of one place, such as "graph.operators[2].inputs[0]"."""

    def change(model, graph):
        exec(f"{path} = value", {"model": model, "graph": graph, "value": value})

    return change


WRONG = {
    "an input that there is not": (assign("graph.operators[2].inputs[0]", 10_000), "reads tensor 10000"),
    "an input of -7": (assign("graph.operators[2].inputs[1]", -7), "reads tensor -7"),
    "weights that are left out": (assign("graph.operators[2].inputs[1]", -1), "reads tensor -1"),
    "an image that is left out": (assign("graph.operators[0].inputs[0]", -1), "reads tensor -1"),
    "no inputs": (assign("graph.operators[3].inputs", []), "has no inputs"),
    "a convolution of nothing by something": (assign("graph.operators[2].inputs", [0]), "has 1 inputs"),
    "a stack of more than there is": (assign("graph.operators[8].inputs", [0]), "PACK. has 1 inputs"),
    "weights of another type": (assign("graph.tensors[graph.operators[2].inputs[1]].type", 3), "weighs int8 by uint8"),
    "a zero point beyond the type": (assign("graph.tensors[graph.operators[2].outputs[0]].quantization.zeroPoint", [999]), "do not fit"),
    "a result in the place of weights": (assign("graph.operators[0].outputs[0]", 5), "writes tensors"),
    "a window of zero": (assign("graph.operators[3].builtinOptions.filterWidth", 0), "has the filterWidth 0"),
    "a padding that there is not": (assign("graph.operators[3].builtinOptions.padding", 77), "has the padding 77"),
    "an output of -1": (assign("graph.operators[2].outputs[0]", -1), "writes tensors"),
    "no outputs of an operation": (assign("graph.operators[2].outputs", []), "writes tensors"),
    "a graph without outputs": (assign("graph.outputs", []), "has no outputs"),
    "a graph output of -1": (assign("graph.outputs[0]", -1), "nothing computes its outputs"),
    "a graph input of -1": (assign("graph.inputs[0]", -1), "its input is tensor -1"),
    "two inputs": (assign("graph.inputs", [0, 1]), "takes 2 inputs"),
    "weights that are absent": (assign("model.buffers[graph.tensors[graph.operators[2].inputs[1]].buffer].data", None), "which nothing gives"),
    "weights cut in half": (assign("graph.tensors[graph.operators[2].inputs[1]].shape", [20, 5, 5, 2]), "which is not its shape"),
    "a buffer that there is not": (assign("graph.tensors[3].buffer", 9999), "a buffer that there is not"),
    "a negative size": (assign("graph.tensors[0].shape", [1, -28, 28, 1]), "has the shape"),
    "a huge size": (assign("graph.tensors[0].shape", [1, 2**20, 2**20, 1]), "has the shape"),
    "a batch of a million": (assign("graph.tensors[0].shape", [1_000_000, 28, 28, 1]), "batches of 1,000,000 images"),
    "scales of other channels": (assign("graph.tensors[graph.operators[2].inputs[1]].quantization.scale", [0.1, 0.2]), "do not fit"),
    "a scale of zero": (assign("graph.tensors[graph.operators[2].outputs[0]].quantization.scale", [0.0]), "do not fit"),
    "operations in another order": (lambda model, graph: graph.operators.reverse(), "which nothing gives"),
    "an unknown operation": (assign("model.operatorCodes[0].builtinCode", 9999), "not a readable TFLite model"),
    "an operation code that there is not": (assign("graph.operators[0].opcodeIndex", 99), "not a readable TFLite model"),
    "no graph": (assign("model.subgraphs", []), "not a readable TFLite model"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_valid_flatbuffer_of_wrong_content_is_refused_in_one_line(artifacts, tmp_path, name):
    change, said = WRONG[name]
    path = changed(artifacts, tmp_path / "wrong.tflite", change)
    for opened in (read, targets.TFLiteTarget, targets.TFLiteGraph):
        with pytest.raises(InputError, match=said) as error:
            opened(path)
        assert "\n" not in str(error.value)


def grown(layers):
    """A file with layers whose results are as large as a constant says, and how it is written."""
    images = keras.Input([8, 8, 1])
    features = keras.layers.Conv2D(2, 3, padding="same")(images)
    for layer in layers:
        features = layer(features)
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    return convert(keras.Model(images, keras.layers.Dense(3)(pooled)), "float32", None)


GROWING = {
    "PAD": keras.layers.ZeroPadding2D(2),
    "TILE": keras.layers.UpSampling2D(2),
    "TRANSPOSE_CONV": keras.layers.Conv2DTranspose(2, 3, strides=2),
    "RESIZE_BILINEAR": keras.layers.UpSampling2D(2, interpolation="bilinear"),
}


@pytest.mark.parametrize("kind", GROWING)
def test_a_constant_that_asks_for_all_of_the_memory_is_refused(tmp_path, kind):
    path = tmp_path / "grown.tflite"
    path.write_bytes(grown([GROWING[kind]]))
    assert targets.TFLiteTarget(path).logits(np.zeros([2, 8, 8, 1])).shape == (2, 3)
    assert kind in {operation.kind for operation in read(path).operations}

    def enlarge(model):
        for buffer in {
            tensor.buffer for tensor in model.subgraphs[0].tensors if tensor.type == schema.TensorType.INT32
        }:
            if model.buffers[buffer].data is not None:
                sizes = np.array(model.buffers[buffer].data, "uint8").view("int32")
                model.buffers[buffer].data = np.where(sizes > 1, 20_000, sizes).astype("int32").view("uint8")

    with pytest.raises(InputError, match=rf"{kind}\) makes [\d,]+ values, for a result"):
        read(rewritten(path, tmp_path / "huge.tflite", enlarge))

    def shorten(model):
        for operation in model.subgraphs[0].operators:
            operation.inputs = operation.inputs[:1]

    with pytest.raises(InputError, match=r"\(.*\) (has 1 inputs|takes sizes of another rank)"):
        read(rewritten(path, tmp_path / "short.tflite", shorten))


def test_damaged_files_are_refused_or_answer(artifacts, tmp_path):
    """Cut off, or with one byte changed, at 100 places, most of them where the structure is kept."""
    whole, draw = artifacts.int8.read_bytes(), random.Random(0)
    path, images, answered = tmp_path / "damaged.tflite", classifiers.random_images(2, (28, 28, 1), low=0, high=1), 0
    for number in range(100):
        contents = bytearray(whole)
        if number < 30:
            del contents[draw.randrange(len(whole)) :]
        else:
            contents[draw.choice([draw.randrange(3000), -draw.randrange(1, 9000)])] = draw.choice([0, 1, 127, 128, 255])
        path.write_bytes(contents)
        try:
            answered += targets.TFLiteTarget(path).logits(images).shape[0] == 2
        except InputError as error:
            assert "\n" not in str(error)
    assert 0 < answered < 90


@pytest.mark.parametrize("contents", [b"", b"TFL3", b"\0" * 100, b"\x1c\0\0\0TFL3" + b"\xff" * 200])
def test_what_is_no_model_is_refused(tmp_path, contents):
    (tmp_path / "no.tflite").write_bytes(contents)
    with pytest.raises(InputError, match="not a readable TFLite model"):
        read(tmp_path / "no.tflite")
    with pytest.raises(InputError, match="No such file"):
        read(tmp_path / "missing.tflite")
