"""One model, behind real servers by three protocols: the same rows, and as many queries as the servers have counted."""

import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tests.support import programs
from tests.support.servers import environments
from tfrobust import data, targets
from tfrobust.targets import EndpointConfig

TEST = data.load("digits", "test").take(30)
ATTACKS = ["square(linf(0.1), queries=20)", "hop_skip_jump(linf, steps=1, samples=8)"]
PACKAGES = pathlib.Path(tf.__file__).parents[1]


@pytest.fixture(scope="module")
def grpc(artifacts, tmp_path_factory):
    """The address of a server on TF Serving's official stubs, and the file in which it counts."""
    counted = tmp_path_factory.mktemp("grpc") / "counted"
    program = [
        "-m",
        "tests.support.servers.prediction_service",
        f"--base={artifacts.saved_model}",
        f"--counted={counted}",
    ]
    with environments.process(sys.executable, *program, cwd=programs.ROOT) as server:
        yield f"grpc://127.0.0.1:{int(server.stdout.readline())}/lenet", counted


@pytest.fixture(scope="module")
def kserve(artifacts, tmp_path_factory):
    """The URL of KServe's ModelServer, and the file in which it counts."""
    python, (port,) = environments.python_with("kserve"), environments.free_ports(1)
    counted = tmp_path_factory.mktemp("kserve") / "counted"
    program = pathlib.Path(environments.__file__).with_name("kserve_model.py")
    flags = [f"--base={artifacts.saved_model}", f"--packages={PACKAGES}", f"--counted={counted}", f"--http_port={port}"]
    with environments.process(python, program, *flags) as server:
        environments.wait_for(f"http://127.0.0.1:{port}/v1/models/lenet", server)
        yield f"http://127.0.0.1:{port}", counted


@pytest.fixture(params=["grpc", "rest", "v2"])
def endpoint(request):
    """An address and the file in which its server counts."""
    if request.param == "grpc":
        return request.getfixturevalue("grpc")
    url, counted = request.getfixturevalue("kserve")
    return f"{url}/{'v1' if request.param == 'rest' else 'v2'}/models/lenet", counted


@pytest.fixture(scope="module")
def of_model(artifacts):
    """The evaluation of the `.keras` file, by the same attacks."""
    return tfr.evaluate(str(artifacts.model), TEST, None, ATTACKS, progress=False, active_checks=False)


def test_logits_are_those_of_the_model_and_its_saved_model(endpoint, artifacts):
    expected = targets.load(artifacts.model).predictor()(TEST.floats())
    for model in (endpoint[0], str(artifacts.saved_model)):
        np.testing.assert_allclose(targets.load(model).predictor()(TEST.floats()), expected, atol=1e-5)


def test_rows_are_those_of_the_model_and_all_queries_are_counted(endpoint, of_model):
    address, counted = endpoint
    before = environments.counted(counted)
    found = tfr.evaluate(address, TEST, None, ATTACKS, progress=False)
    assert found.report["clean_accuracy"] == of_model.report["clean_accuracy"]
    for one, other in zip(found.outcomes, of_model.outcomes):
        np.testing.assert_array_equal(one.broken, other.broken)
    assert found.report["endpoint"]["queries"] == environments.counted(counted) - before > 600
    assert found.report["endpoint"]["queries_without_answer"] == found.report["endpoint"]["retries"] == 0


def test_the_version_is_that_of_the_server_and_another_one_is_refused(grpc):
    address, _ = grpc
    assert targets.load(f"{address}/1").about()["version"] == "1"
    with pytest.raises(tfr.InputError, match="no such model: NOT_FOUND"):
        targets.load(f"{address}/2")


def test_image_files_are_sent_where_the_signature_takes_them(grpc, of_model):
    target = targets.load(grpc[0], signature="serve_bytes")
    found = tfr.evaluate(target, TEST, None, "square(linf(0.1), queries=20)", progress=False)
    assert target.takes_files and found.report["pixels"] == "uint8"
    assert abs(found.report["clean_accuracy"] - of_model.report["clean_accuracy"]) <= 1 / 30


def test_labels_alone_are_what_another_output_gives(grpc, of_model):
    target = targets.load(grpc[0], output_name="classes")
    assert str(target.access) == "decision-based"
    np.testing.assert_array_equal(target.predictor()(TEST.floats()), of_model.predictions)


def test_a_request_larger_than_the_default_of_grpc_is_answered(grpc):
    images = np.resize(TEST.floats(), [1500, 28, 28, 1])  # 4.7 MB
    target = targets.load(grpc[0], endpoint=EndpointConfig(images_per_request=1500))
    assert target.logits(images).shape == (1500, 10)


def test_an_independent_client_gets_the_same_from_the_server(grpc, tmp_path):
    python = environments.python_with("ovmsclient")
    np.save(tmp_path / "images.npy", TEST.floats())
    program = pathlib.Path(environments.__file__).with_name("ovms_answers.py")
    host, model = grpc[0].removeprefix("grpc://").split("/")
    command = [str(python), str(program), host, model, str(tmp_path / "images.npy"), str(tmp_path / "logits.npy")]
    subprocess.run(command, check=True, timeout=60)
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), targets.load(grpc[0]).logits(TEST.floats()), atol=1e-5)


def test_tf_serving_itself_where_it_is_installed(artifacts, of_model):
    if shutil.which("tensorflow_model_server") is None:
        pytest.skip("tensorflow_model_server is not on the PATH")
    ports = environments.free_ports(2)
    flags = [f"--port={ports[0]}", f"--rest_api_port={ports[1]}", "--model_name=lenet"]
    command = ["tensorflow_model_server", *flags, f"--model_base_path={artifacts.saved_model.resolve()}"]
    with environments.process(*command) as server:
        environments.wait_for(f"http://127.0.0.1:{ports[1]}/v1/models/lenet", server)
        for address in (f"grpc://127.0.0.1:{ports[0]}/lenet", f"http://127.0.0.1:{ports[1]}/v1/models/lenet"):
            found = tfr.evaluate(address, TEST, None, ATTACKS, progress=False)
            for one, other in zip(found.outcomes, of_model.outcomes):
                np.testing.assert_array_equal(one.broken, other.broken)
