"""A REST server as TF Serving's, of a linear model, that fails as it is told to; on loopback.

`running` starts it in this process, `python -m tests.support.servers.rest PORT FILE` in one of its own, which adds a line with the
number of images to FILE for each request that it has answered.
"""

import collections
import contextlib
import http.server
import json
import socket
import ssl
import sys
import threading
import time

import numpy as np

from tests.support.servers import threads

CLASSES = 4


def logits(images):
    """Of float images [batch, ...]: sums over four parts of the pixels, so that every pixel counts."""
    flat = np.asarray(images, "float32").reshape(len(images), -1)
    weights = np.sin(np.arange(flat.shape[1] * CLASSES, dtype="float32")).reshape(-1, CLASSES)
    return flat @ weights


class Server:
    """What `running` gives.

    Attributes:
      address: of the model `linear`.
      faults: by the number of a request for predictions, from 0: what happens to it, a function of the handler and the
        answer that returns the answer, or None if it has sent one itself.
      every: what happens to all other requests, likewise.
      answer: from images to the rows of predictions.
      version: of the model.
      asked: images of requests that were answered with predictions, and how often each image was in one: by its bytes.
      headers: of all requests for predictions.
      requests: the numbers of images in each of them, answered or not.
      before: called before a request for predictions is looked at.
    """

    def __init__(self, port):
        self.address, self.faults, self.answer, self.version = (
            f"http://127.0.0.1:{port}/v1/models/linear",
            {},
            logits,
            1,
        )
        self.answered, self.asked, self.headers, self.requests = 0, collections.Counter(), [], []
        self.before, self.every, self.metadata = lambda server: None, None, None
        self.lock = threading.Lock()


@contextlib.contextmanager
def running(port=0, certificate=None):
    """Starts a server and ends it. `certificate`: a PEM file with a key and a certificate, for https."""
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        listener.socket = context.wrap_socket(listener.socket, server_side=True)
    listener.daemon_threads, listener.server = True, Server(listener.server_port)
    listener.handle_error = lambda *arguments: None  # clients that have gone
    with threads.in_thread(listener):
        yield listener.server


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)

    @property
    def served(self):
        return self.server.server

    def do_GET(self):
        """Status and metadata."""
        part = self.path.removeprefix("/v1/models/linear")
        if part in ("", f"/versions/{self.served.version}"):
            self.send({"model_version_status": [{"version": str(self.served.version), "state": "AVAILABLE"}]})
        elif part.endswith("/metadata") and self.served.metadata:
            self.send(self.served.metadata)
        else:
            self.send({"error": "not found"}, 404)

    def do_POST(self):
        """Predictions."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        served = self.served
        served.before(served)
        if self.path not in (f"/v1/models/linear/versions/{served.version}:predict", "/v1/models/linear:predict"):
            self.send({"error": f"Servable not found for request: {self.path}"}, 404)
            return
        with served.lock:
            fault = served.faults.get(len(served.requests), served.every)
            served.requests.append(len(body["instances"]))
            served.headers.append(dict(self.headers))
        answer = {"predictions": np.asarray(served.answer(np.array(body["instances"], "float32"))).tolist()}
        answer = fault(self, answer) if fault else answer
        if answer is not None:
            with served.lock:
                served.answered += len(body["instances"])
                served.asked.update(np.array(row, "float32").tobytes() for row in body["instances"])
            self.send(answer)

    def send(self, content, status=200, **headers):
        """A JSON object."""
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Says nothing."""


def status(code, **headers):
    """A fault: this status instead of an answer."""

    def fault(handler, answer):
        handler.send({"error": f"told to fail with {code}"}, code, **headers)

    return fault


def closed(handler, answer):
    """A fault: the connection is closed without a word."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def truncated(handler, answer):
    """A fault: half of the body."""
    body = json.dumps(answer).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.close_connection = True


def no_json(handler, answer):
    """A fault: an answer that is cut, and whose length says so."""
    body = json.dumps(answer).encode()[:-9]
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def nan(handler, answer):
    """A fault: scores that are no numbers."""
    return {"predictions": [[float("nan")] * CLASSES for _ in answer["predictions"]]}


def short(handler, answer):
    """A fault: one row too few."""
    return {"predictions": answer["predictions"][:-1]}


def narrow(handler, answer):
    """A fault: one class too few."""
    return {"predictions": [row[:-1] for row in answer["predictions"]]}


def slow(seconds):
    """A fault: an answer after a while."""

    def fault(handler, answer):
        time.sleep(seconds)
        return answer

    return fault


def main(port, counted):
    """Runs until it is killed."""

    def count(handler, answer):
        with open(counted, "a", encoding="utf-8") as file:
            file.write(f"{len(answer['predictions'])}\n")
        return answer

    with running(int(port)) as server:
        server.every = count
        print(server.address, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
