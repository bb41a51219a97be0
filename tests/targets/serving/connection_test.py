"""Encrypted connections: to a server whose certificate is trusted, and to none else."""

import shutil
import subprocess

import numpy as np
import pytest

from tests.support.servers import rest
from tfrobust import targets
from tfrobust.errors import InputError
from tfrobust.targets import EndpointConfig

IMAGES = np.zeros([3, 4, 4, 1], "float32")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A PEM file with a key and a certificate of 127.0.0.1, signed by itself."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    files = ["-keyout", str(path), "-out", f"{path}.certificate"]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        *name,
        *files,
    ]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + path.with_name(f"{path.name}.certificate").read_text())
    return path


def test_a_trusted_server_is_asked_with_the_token(certificate):
    with rest.running(certificate=certificate) as server:
        config = EndpointConfig(ca_certificate=certificate, token="secret")
        address = server.address.replace("http", "https", 1)
        np.testing.assert_array_equal(targets.load(address, endpoint=config).logits(IMAGES), rest.logits(IMAGES))
        assert server.headers[0]["Authorization"] == "Bearer secret"


def test_a_server_that_is_not_trusted_is_not(certificate):
    with (
        rest.running(certificate=certificate) as server,
        pytest.raises(InputError, match="no trusted encrypted connection"),
    ):
        targets.load(server.address.replace("http", "https", 1), endpoint=EndpointConfig(token="secret"))
    assert not server.headers


def test_a_certificate_that_is_none_is_refused(tmp_path):
    for name, content in (("missing", None), ("text", "no certificate")):
        path = tmp_path / name
        if content:
            path.write_text(content)
        for address in ("https://127.0.0.1:1/v1/models/a", "grpcs://127.0.0.1:1/a"):
            with pytest.raises(InputError):
                targets.load(address, endpoint=EndpointConfig(ca_certificate=path, tries=1, timeout=2.0))
