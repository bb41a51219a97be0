"""A SavedModel is published only if it gives the model's logits."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from export import saved_model
from export.serving import manifest
from tests.support import classifiers, programs
from tfrobust import InputError, data, defenses, models, targets

IMAGES = classifiers.random_images(4, (28, 28, 1), low=0, high=1)


@pytest.fixture(scope="module")
def networks():
    """Two networks that differ in their weights."""
    keras.utils.set_random_seed(0)
    return models.lenet(mean=0.3), models.lenet(mean=0.3)


def test_largest_difference_tells_networks_apart(networks):
    one, other = (targets.KerasTarget(network) for network in networks)
    assert saved_model.largest_difference(one, one) < 1e-5
    assert saved_model.largest_difference(one, other) > 1e-2


def test_a_model_that_answers_differently_each_time_is_published_uncompared(networks, tmp_path):
    defenses.pixel_shift(networks[0], direction="random").save(tmp_path / "model.keras")
    flags = (f"--model={tmp_path / 'model.keras'}", f"--output={tmp_path / 'served'}")
    assert "this difference says nothing" in programs.succeed("export.saved_model", *flags)
    images = np.random.default_rng(0).random((4, 28, 28, 1), "float32")
    predict = targets.load(tmp_path / "served/1").predictor()
    assert np.any(predict(images) != predict(images))


def test_an_export_that_differs_is_not_published(artifacts, tmp_path):
    output = tmp_path / "served"
    process = programs.run_code(
        f"""
import sys
from export import saved_model
from tfrobust.cli import program

sys.argv = ["saved_model", "--model={artifacts.model}", "--output={output}"]
saved_model.largest_difference = lambda one, other: 0.5 * (one is not other)
program.run(saved_model.main)
"""
    )
    assert process.returncode == 1, process.stderr[-2000:]
    assert "failed: the logits differ" in process.stdout and "saved model:" not in process.stdout
    assert not output.exists()


@pytest.mark.parametrize("program, output", [("saved_model", "served"), ("tflite", "model.tflite")])
def test_a_full_disk_leaves_nothing_behind(artifacts, tmp_path, program, output):
    """As a limit on the size of files, which ends a write halfway as a full disk does."""
    code = f"""
import resource, sys
import tfrobust.cli.program
from export import {program}
from tfrobust import cli

resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
sys.argv = ["export", "--model={artifacts.model}", "--output={tmp_path / output}"]
cli.program.run({program}.main)
"""
    process = programs.run_code(code)
    assert process.returncode == 2, process.stderr[-1500:]
    assert "cannot be written" in programs.errors(process)[0] and "Traceback" not in process.stderr
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def served(networks, tmp_path_factory):
    """A SavedModel of gray images, and one of colors."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("served")
    color = keras.Sequential([keras.Input((6, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    for name, model in (("gray", networks[0]), ("color", color)):
        saved_model.write(model, folder / name)
    return folder, {"gray": networks[0], "color": color}


def of_files(path, *contents):
    """What the signature of files answers."""
    signature = tf.saved_model.load(str(path)).signatures["serve_bytes"]
    return signature(image_bytes=tf.constant(contents))


def test_files_of_another_size_are_cropped_and_resized_as_in_an_evaluation(served):
    folder, models_of = served
    random = np.random.default_rng(0)
    pixels = [random.integers(0, 256, shape, dtype="uint8") for shape in ((6, 8, 3), (13, 9, 3), (40, 60, 3))]
    gray = random.integers(0, 256, (20, 20, 1), dtype="uint8")
    contents = [
        tf.io.encode_png(pixels[0]),
        tf.io.encode_jpeg(pixels[1]),
        tf.io.encode_png(pixels[2]),
        tf.io.encode_png(gray),
    ]
    seen = [data.fit(data.decode(one, channels=3), (6, 8)) for one in contents]
    np.testing.assert_array_equal(seen[0], pixels[0])
    expected = models_of["color"](np.stack(seen) / np.float32(255))
    found = of_files(folder / "color", *(one.numpy() for one in contents))
    np.testing.assert_allclose(found["logits"], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found["classes"], np.argmax(expected, axis=1))


@pytest.mark.parametrize(
    "name, contents, said",
    [
        ("color", tf.io.encode_png(np.zeros((6, 8, 3), "uint16")), "16 bits"),
        ("gray", tf.io.encode_png(np.zeros((28, 28, 1), "uint16")), "16 bits"),
        ("gray", tf.io.encode_png(np.zeros((28, 28, 3), "uint8")), "has colors"),
        ("gray", tf.io.encode_jpeg(np.zeros((28, 28, 3), "uint8")), "has colors"),
        ("color", tf.constant(b"no image"), "(?i)unknown|invalid|format"),
    ],
)
def test_files_that_would_lose_something_are_refused(served, name, contents, said):
    with pytest.raises(tf.errors.InvalidArgumentError, match=said):
        of_files(served[0] / name, contents.numpy())


def test_requests_of_another_shape_are_errors_and_the_process_goes_on(served):
    """As a server runs the graph: by TensorFlow's session, which does not look at the signature's shape."""
    code = f"""
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

with tf.compat.v1.Session(graph=tf.Graph()) as session:
    loaded = tf.compat.v1.saved_model.loader.load(session, ["serve"], {str(served[0] / "gray")!r})
    signature = loaded.signature_def["serving_default"]
    options = config_pb2.CallableOptions()
    options.feed.append(signature.inputs["image"].name)
    options.fetch.append(signature.outputs["logits"].name)
    call = session._make_callable_from_options(options)
    for shape in ([28], [28, 28], [1, 28, 28], [1, 28, 28, 1, 1], [1, 20, 28, 1], [1, 28, 28, 3], [0, 3, 28, 1]):
        try:
            call(np.zeros(shape, "float32"))
        except tf.errors.InvalidArgumentError as error:
            assert "expected shape" in str(error).lower(), error
        else:
            raise SystemExit(f"{{shape}} was answered")
    assert call(np.zeros([2, 28, 28, 1], "float32"))[0].shape == (2, 10)
"""
    process = programs.run_code(code)
    assert process.returncode == 0, process.stderr[-1000:]


@pytest.fixture(scope="module")
def named(networks, tmp_path_factory):
    """A SavedModel with names of its classes and a signature for gradients."""
    folder = tmp_path_factory.mktemp("named")
    (folder / "digits.txt").write_text("\n".join(f"digit {digit}" for digit in range(10)))
    saved_model.write(networks[0], folder / "model", folder / "digits.txt", loss_and_gradient=True)
    (folder / "digits.txt").unlink()
    return tf.saved_model.load(str(folder / "model")), folder / "model"


def test_class_names_are_an_asset_and_are_answered(named):
    module, folder = named
    answers = module.signatures["serving_default"](image=tf.constant(IMAGES))
    assert [name.decode() for name in answers["class_names"].numpy()] == [f"digit {k}" for k in answers["classes"]]
    assert (folder / "assets/digits.txt").read_text().splitlines()[3] == "digit 3"


def test_another_number_of_names_is_refused(networks, tmp_path):
    (tmp_path / "names.txt").write_text("one\ntwo")
    with pytest.raises(InputError, match="has 2 names, but there are 10 classes"):
        saved_model.write(networks[0], tmp_path / "model", tmp_path / "names.txt")


def test_the_gradient_that_it_gives_is_the_models(named, networks):
    labels = np.arange(len(IMAGES)) % 10
    found = named[0].signatures["loss_and_gradient"](image=tf.constant(IMAGES), label=tf.constant(labels))
    with tf.GradientTape() as tape:
        tape.watch(images := tf.constant(IMAGES))
        loss = keras.losses.sparse_categorical_crossentropy(labels, networks[0](images), from_logits=True)
    np.testing.assert_allclose(found["loss"], loss, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["gradient"], tape.gradient(loss, images), rtol=1e-3, atol=1e-6)


def test_a_version_carries_its_manifest_and_requests_that_it_answers(artifacts):
    version = artifacts.saved_model / "1"
    assert manifest.contradictions(version) == []
    verified = json.loads((version / "manifest.json").read_text())["verification"]
    assert verified["largest_logit_difference"] <= verified["tolerance"] == 1e-4
    signatures = tf.saved_model.load(str(version)).signatures
    asked = []
    for record in tf.data.TFRecordDataset(str(version / "assets.extra/tf_serving_warmup_requests")):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
        assert signatures[request.model_spec.signature_name](**inputs)["logits"].shape == (1, 10)
        asked.append((request.model_spec.name, request.model_spec.signature_name))
    assert asked == [("served", "serving_default"), ("served", "serve_bytes")]
