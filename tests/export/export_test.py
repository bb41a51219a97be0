"""The exporters and `export.verify`: what was exported is the model, and what differs is found."""

import concurrent.futures

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import programs
from tfrobust import data, targets

TEST = data.load("digits", "test").take(100)


@pytest.fixture(scope="module")
def model(artifacts):
    return keras.saving.load_model(artifacts.model, compile=False)


def logits(path):
    return targets.load(path).predictor()(TEST.floats())


def test_saved_model_has_its_signatures_and_the_models_logits(artifacts, model):
    loaded = tf.saved_model.load(str(artifacts.saved_model / "1"))
    assert {"serve", "serving_default", "serve_bytes"} <= set(loaded.signatures)
    expected = model(TEST.floats())
    for name in ("serve", "serving_default"):
        outputs = loaded.signatures[name](image=tf.constant(TEST.floats()))
        np.testing.assert_allclose(outputs["logits"], expected, atol=1e-4)
        np.testing.assert_allclose(outputs["probabilities"], tf.nn.softmax(expected), atol=1e-5)
    files = tf.constant([tf.io.encode_png(image).numpy() for image in TEST.images[:5]])
    np.testing.assert_allclose(loaded.signatures["serve_bytes"](image_bytes=files)["logits"], expected[:5], atol=1e-4)
    assert [path.name for path in artifacts.saved_model.iterdir()] == ["1"]


def test_an_existing_version_is_not_touched_and_the_next_one_is_taken(artifacts, tmp_path):
    arguments = (f"--model={artifacts.model}", f"--output={tmp_path / 'served'}")
    programs.succeed("export.saved_model", *arguments)
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "served").rglob("*"))
    process = programs.run("export.saved_model", *arguments, "--version=1")
    assert process.returncode == 2 and "exists" in programs.errors(process)[0]
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "served").rglob("*")) == before
    programs.succeed("export.saved_model", *arguments, "--version=12")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:  # two at once
        list(pool.map(lambda _: programs.succeed("export.saved_model", *arguments), range(2)))
    assert sorted(path.name for path in (tmp_path / "served").iterdir()) == ["1", "12", "13", "14"]


@pytest.mark.parametrize(
    "mode, error", [("float32", 1e-5), ("float16", 1e-2), ("dynamic", 0.05), ("int8", 0.2), ("int16x8", 0.1)]
)
def test_every_precision_is_near_the_model(model, tmp_path, mode, error):
    """The bounds are shares of the largest logit."""
    from export import tflite

    path = tmp_path / f"{mode}.tflite"
    path.write_bytes(tflite.convert(model, mode, data.load("digits", "train").take(200).floats()))
    expected = model(TEST.floats()).numpy()
    assert np.abs(logits(path) - expected).max() < error * np.abs(expected).max()
    assert np.mean(logits(path).argmax(axis=1) == expected.argmax(axis=1)) >= 0.95


def test_int8_is_a_quarter_of_float32(artifacts):
    assert artifacts.int8.stat().st_size < 0.3 * artifacts.float32.stat().st_size


def verify(artifacts, *arguments):
    names = ("--dataset=digits", "--examples=60", "--attack=pgd(linf(0.05), steps=3)")
    return programs.run("export.verify", f"--reference={artifacts.model}", "--noactive_checks", *names, *arguments)


def test_verify_fails_what_misses_a_threshold(artifacts, tmp_path):
    """An artifact of another network differs on most images, and no network here survives at 99 %."""
    other = tmp_path / "other.tflite"
    from export import tflite
    from tfrobust import models

    keras.utils.set_random_seed(5)
    other.write_bytes(tflite.convert(models.lenet()))
    process = verify(
        artifacts, f"--artifact={other}", "--max_flip_rate=0.01", "--min_robust_accuracy=0.99", "--queries=0"
    )
    failed = [line for line in process.stdout.splitlines() if line.startswith("failed: ")]
    said = (
        "on clean images",
        "on adversarial images",
        "constants are not the reference's",
        "flip rate",
        "< 0.99",
        "< 0.99",
    )  # transferred, and on its graph
    assert process.returncode == 1 and len(failed) == 6
    assert all(text in line for text, line in zip(said, failed))


def test_a_network_that_is_trained_as_int8_is_exported_without_calibration(artifacts, tmp_path):
    training = (f"--init_weights={artifacts.model}", "--quantization_aware", "--dataset=digits", "--epochs=1")
    programs.succeed("trainers.mnist", *training, "--batch_size=300", f"--workdir={tmp_path / 'aware'}")
    file = (f"--model={tmp_path / 'aware' / 'model.keras'}", f"--output={tmp_path / 'aware.tflite'}")
    process = programs.run("export.tflite", *file)
    assert process.returncode == 2 and "is trained for int8" in programs.errors(process)[0]
    programs.succeed("export.tflite", *file, "--quantize=int8")
    aware = keras.saving.load_model(tmp_path / "aware" / "model.keras", compile=False)
    expected = aware(TEST.floats()).numpy()
    np.testing.assert_allclose(logits(tmp_path / "aware.tflite"), expected, atol=3 * np.ptp(expected) / 255)
