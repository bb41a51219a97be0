"""The exporters and `export.verify`: what was exported is the model, and what differs is found."""

import concurrent.futures
import itertools
import json
from xml.etree import ElementTree

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


def test_verify_passes_faithful_artifacts(artifacts, tmp_path):
    process = verify(
        artifacts,
        *(f"--artifact={path}" for path in (artifacts.saved_model, artifacts.float32, artifacts.int8)),
        *("--max_flip_rate=0.05", "--min_robust_accuracy=0.01", f"--output={tmp_path}"),
        *("--own_examples=20", "--queries=20"),
    )
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-2000:]
    report = json.loads((tmp_path / "report.json").read_text())
    saved, float32, int8 = report["artifacts"]
    assert report["failures"] == [] and report["model"] == str(artifacts.model)
    assert saved["flip_rate"] == float32["flip_rate"] == 0 and int8["flip_rate"] <= 0.05
    assert saved["attacks"][0]["source"] is None
    transferred, own, square, hop_skip_jump = int8["attacks"]
    assert transferred["source"] == str(artifacts.model) and transferred["examples"] == 60
    assert own["source"] is None and own["attack"] == transferred["attack"] and own["examples"] == 20
    assert square["attack"] == "square(linf(0.05), queries=20)" and square["queries"] < 22
    assert "hop_skip_jump(linf" in hop_skip_jump["attack"]
    assert int8["precision"] == "int8" and int8["conformance"]["adversarial"]["relative_rms"] < 0.015
    reference = report["attacks"][0]["robust_accuracy"]
    assert saved["attacks"][0]["robust_accuracy"] == pytest.approx(reference, abs=1 / 60)
    assert process.stdout.startswith("verdict: passed, 13 of 13 checks hold\n") and report["verdict"] == "passed"
    assert '<div class="verdict">verdict: passed' in (tmp_path / "report.html").read_text()
    assert saved["manifest"] == [] and int8["manifest"] is None
    assert len(ElementTree.parse(tmp_path / "junit.xml").findall(".//testcase")) == 13
    names = [str(artifacts.model), *(str(path) for path in (artifacts.saved_model, artifacts.float32, artifacts.int8))]
    assert [(row["source"], row["model"]) for row in report["matrix"]] == [*itertools.product(names, names)]
    on_itself = [row["robust_accuracy"] for row in report["matrix"] if row["source"] == row["model"]]
    assert on_itself[-1] == own["robust_accuracy"]


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
        "flip rate",
        "< 0.99",
        "< 0.99",
    )  # transferred, and on its graph
    assert process.returncode == 1 and len(failed) == 5
    assert all(text in line for text, line in zip(said, failed))
