"""The open inference protocol as Triton documents it: numbers in JSON, image files behind it, versions in every answer."""

import http.server
import json
import struct

import numpy as np
import pytest
import tensorflow as tf

from tests.support.servers import rest, threads
from tfrobust import targets
from tfrobust.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, [5, 4, 4, 1]).astype("float32") / np.float32(255)


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        served = self.server
        form = {
            "name": "given",
            "datatype": served.datatype,
            "shape": [-1] if served.datatype == "BYTES" else [-1, 4, 4, 1],
        }
        outputs = [{"name": "logits", "datatype": "FP32", "shape": [-1, 4]}]
        self._send({"name": "linear", "versions": ["1", served.version], "inputs": [form], "outputs": outputs})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        length = int(self.headers.get("Inference-Header-Content-Length", len(body)))
        (tensor,) = json.loads(body[:length])["inputs"]
        assert tensor["name"] == "given" and tensor["datatype"] == self.server.datatype
        if tensor["datatype"] == "BYTES":
            images = np.stack(list(_files(body[length:], tensor))).astype("float32") / np.float32(255)
        else:
            images = np.array(tensor["data"], "float32").reshape(tensor["shape"])
        logits = rest.logits(images)
        output = {"name": "logits", "datatype": "FP32", "shape": list(logits.shape), "data": logits.ravel().tolist()}
        self._send({"model_name": "linear", "model_version": self.server.version, "outputs": [output]})

    def _send(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Says nothing."""


def _files(binary, tensor):
    """The images of the binary tensor data extension: each file behind its length."""
    assert len(binary) == tensor["parameters"]["binary_data_size"]
    while binary:
        (length,) = struct.unpack("<I", binary[:4])
        yield tf.io.decode_png(binary[4 : 4 + length]).numpy()
        binary = binary[4 + length :]


@pytest.fixture
def server():
    """A server whose `datatype` and `version` can be set, and its `address`."""
    with threads.in_thread(http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)) as running:
        running.datatype, running.version = "FP32", "3"
        running.address = f"http://127.0.0.1:{running.server_port}/v2/models/linear"
        yield running


@pytest.mark.parametrize("datatype", ["FP32", "BYTES"])
def test_images_arrive_as_numbers_or_as_files(server, datatype):
    server.datatype = datatype
    target = targets.load(server.address)
    np.testing.assert_allclose(target.logits(IMAGES), rest.logits(IMAGES), rtol=1e-6)
    assert target.takes_files == (datatype == "BYTES") and target.about()["version"] == "3"


def test_another_version_in_an_answer_is_found(server):
    target = targets.load(server.address)
    target.logits(IMAGES)
    server.version = "4"
    with pytest.raises(InputError, match="served version 3 at the start and serves 4 now"):
        target.logits(1.0 - IMAGES)
