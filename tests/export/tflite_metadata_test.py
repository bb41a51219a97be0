"""What a TFLite file says of itself, as its readers find it."""

import io
import zipfile

import flatbuffers
import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from export import tflite
from tests.support import classifiers
from tfrobust import targets

NAMES = ["cat", "dog", "bird"]
IMAGES = classifiers.random_images(12, (6, 5, 3), low=0, high=1)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((6, 5, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])


@pytest.fixture(scope="module")
def contents(model):
    return tflite.convert(model, class_names=NAMES)


def test_the_signature_calls_them_image_and_logits(contents, model):
    runner = Interpreter(model_content=contents).get_signature_runner("serving_default")
    (name,) = runner.get_input_details()
    assert (name, *runner.get_output_details()) == ("image", "logits")
    np.testing.assert_allclose(runner(image=IMAGES[:1])["logits"], model(IMAGES[:1]), atol=1e-5)


def test_the_names_of_the_classes_are_a_file_in_it(contents):
    with zipfile.ZipFile(io.BytesIO(contents)) as archive:
        assert archive.read("labels.txt").decode().splitlines() == NAMES and archive.testzip() is None


class Table(flatbuffers.table.Table):
    """A table of a flatbuffer, read by the places of its fields."""

    def at(self, place):
        return self.Offset(4 + 2 * place)

    def text(self, place):
        return self.String(self.at(place) + self.Pos).decode()

    def table(self, place):
        return Table(self.Bytes, self.Indirect(self.at(place) + self.Pos))

    def items(self, place):
        start = self.Vector(self.at(place))
        return [Table(self.Bytes, self.Indirect(start + 4 * n)) for n in range(self.VectorLen(self.at(place)))]

    def byte(self, place):
        return self.Get(flatbuffers.number_types.Uint8Flags, self.at(place) + self.Pos)

    def floats(self, place):
        return self.GetVectorAsNumpy(flatbuffers.number_types.Float32Flags, self.at(place)).tolist()


def test_the_metadata_says_how_pixels_become_the_input_and_where_the_names_are(contents):
    file = schema.ModelT.InitFromPackedBuf(bytearray(contents), 0)
    (entry,) = [one for one in file.metadata if one.name == b"TFLITE_METADATA"]
    packed = bytes(file.buffers[entry.buffer].data)
    assert packed[4:8] == b"M001"
    root = Table(packed, int.from_bytes(packed[:4], "little"))
    assert root.text(0) == "tfrobust" and root.text(1).startswith("float32")
    (subgraph,) = root.items(3)
    (image,), (scores,) = subgraph.items(2), subgraph.items(3)
    assert (image.text(0), scores.text(0)) == ("image", "logits")
    (unit,) = image.items(4)
    assert unit.byte(0) == 1 and (unit.table(1).floats(0), unit.table(1).floats(1)) == ([0.0], [255.0])
    assert image.table(3).byte(0) == 2 and image.table(3).table(1).byte(0) == 1  # an image, in RGB
    (labels,) = scores.items(6)
    assert labels.text(0) == "labels.txt" and labels.byte(2) == 2  # of the axis


@pytest.mark.parametrize("io_type", ["uint8", "int8"])
def test_an_int8_file_takes_and_gives_integers_where_that_is_asked_for(model, tmp_path, io_type):
    (tmp_path / "model.tflite").write_bytes(tflite.convert(model, "int8", IMAGES, io_type))
    interpreter = Interpreter(str(tmp_path / "model.tflite"))
    (given,), (scores,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert given["dtype"] == scores["dtype"] == np.dtype(io_type)
    scale, zero_point = given["quantization"]
    assert scale == pytest.approx(1 / 255, rel=0.02) and zero_point == (0 if io_type == "uint8" else -128)
    found = targets.load(tmp_path / "model.tflite").predictor()(IMAGES)
    np.testing.assert_allclose(found, model(IMAGES), atol=0.05)


def test_a_file_for_one_size_of_batches_takes_no_other(model, tmp_path):
    (tmp_path / "model.tflite").write_bytes(tflite.convert(model, "int8", IMAGES, fixed_batch=5))
    (given,) = Interpreter(str(tmp_path / "model.tflite")).get_input_details()
    assert list(given["shape"]) == list(given["shape_signature"]) == [5, 6, 5, 3]
    np.testing.assert_allclose(targets.load(tmp_path / "model.tflite").predictor()(IMAGES), model(IMAGES), atol=0.05)


def test_equal_files_are_equal(model, contents):
    assert tflite.convert(model, class_names=NAMES) == contents
