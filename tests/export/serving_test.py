"""A SavedModel outside of Python: TensorFlow's C API, which is the loader and the session that TF Serving wraps, and its tool."""

import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import data, targets

TEST = data.load("digits", "test").take(9).floats()
PACKAGE = pathlib.Path(tf.__file__).parent


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    """The compiled program."""
    if shutil.which("gcc") is None:
        pytest.skip("the C API is tried where gcc is installed")
    program = tmp_path_factory.mktemp("c") / "run_saved_model"
    libraries = ["-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"]
    source = pathlib.Path(__file__).with_name("run_saved_model.c")
    where = [f"-I{PACKAGE / 'include'}", f"-L{PACKAGE}", f"-Wl,-rpath,{PACKAGE}"]
    subprocess.run(["gcc", str(source), "-o", str(program), *where, *libraries], check=True)
    return program


@pytest.fixture(scope="module")
def names(artifacts):
    """The graph's tensors behind `image` and `logits` of serving_default."""
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        loaded = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(artifacts.saved_model / "1"))
    signature = loaded.signature_def["serving_default"]
    return signature.inputs["image"].name, signature.outputs["logits"].name


def test_the_c_api_gives_the_models_logits(runner, names, artifacts):
    command = [str(runner), str(artifacts.saved_model / "1"), *names, "4", *map(str, TEST.shape)]
    done = subprocess.run(command, input=TEST.tobytes(), capture_output=True, check=True)
    found = np.frombuffer(done.stdout, "float32").reshape(9, 10)
    np.testing.assert_allclose(found, targets.load(artifacts.model).predictor()(TEST), atol=1e-4)


@pytest.mark.parametrize("shape", [(28,), (1, 28), (1, 28, 28), (1, 28, 28, 1, 1), (1, 14, 56, 1), (1, 14, 14, 4)])
def test_the_c_api_answers_a_request_of_another_shape_with_an_error(runner, names, artifacts, shape):
    command = [str(runner), str(artifacts.saved_model / "1"), *names, str(len(shape)), *map(str, shape)]
    done = subprocess.run(
        command, input=np.zeros(shape, "float32").tobytes(), capture_output=True, text=False, check=False
    )
    assert done.returncode == 3 and b"expected shape" in done.stderr.lower()


def test_saved_model_cli_gives_the_models_logits(artifacts, tmp_path):
    np.savez(tmp_path / "images.npz", x=TEST)
    tool = pathlib.Path(sys.executable).with_name("saved_model_cli")
    command = [
        "run",
        "--dir",
        str(artifacts.saved_model / "1"),
        "--tag_set",
        "serve",
        "--signature_def",
        "serving_default",
    ]
    where = ["--inputs", f"image={tmp_path / 'images.npz'}[x]", "--outdir", str(tmp_path)]
    subprocess.run([str(tool), *command, *where], check=True, capture_output=True)
    np.testing.assert_allclose(
        np.load(tmp_path / "logits.npy"), targets.load(artifacts.model).predictor()(TEST), atol=1e-4
    )
