"""TF Serving's REST interface, which KServe's v1 protocol is a part of.

A server that says which versions it has is asked for one of them, so that another one never answers in its place.
"""

import base64
import contextlib

import numpy as np

from tfrobust.errors import InputError
from tfrobust.targets.serving.address import Address
from tfrobust.targets.serving.connection import Connection
from tfrobust.targets.serving.patience import UnavailableError
from tfrobust.targets.serving.protocol import (
    Answer,
    Description,
    NotFoundError,
    Protocol,
    TensorForm,
    digest_in,
    only_input,
)

_TYPES = {"DT_FLOAT": "float32", "DT_HALF": "float16", "DT_BFLOAT16": "bfloat16", "DT_DOUBLE": "float64"}
_TYPES |= {
    f"DT_{kind.upper()}": kind for kind in ("int8", "int16", "int32", "int64", "uint8", "uint16", "string", "bool")
}


class RestProtocol(Protocol):
    """A model at `/v1/models/…`.

    Args:
      connection: to the server.
      address: of the model.
      signature: of the model; None: the server's default.
    """

    def __init__(self, connection: Connection, address: Address, signature: str | None):
        self._connection, self._address, self._signature = connection, address, signature
        self._version = address.version  # which requests name

    def describe(self):
        """Of its status, and of its metadata where the server has them, as KServe has not."""
        try:
            version, said = self._status()
        except NotFoundError:
            return Description()  # a server that only answers: the first question shows whether it has the model
        if self._address.label is None:
            self._version = version
        try:
            metadata = self._connection.get(f"{self._path(self._version)}/metadata")["metadata"]
            definitions = metadata["signature_def"]["signature_def"]
        except (NotFoundError, InputError, LookupError, TypeError):
            return Description(version, digest_in(said))
        name = self._signature or "serving_default"
        if name not in definitions:
            raise InputError(f"{self._address.model} has no signature {name}, but {', '.join(sorted(definitions))}")
        inputs, outputs = (_forms(definitions[name].get(kind, {})) for kind in ("inputs", "outputs"))
        return Description(version, digest_in({**said, **metadata}), only_input(inputs, self._address.model), outputs)

    def version(self):
        return self._status()[0]

    def predict(self, images):
        rows = (
            [{"b64": base64.b64encode(image).decode()} for image in images]
            if isinstance(images, list)
            else images.tolist()
        )
        content = {**({"signature_name": self._signature} if self._signature else {}), "instances": rows}
        return Answer(_outputs(self._post(content)))

    def _post(self, content):
        try:
            return self._connection.post(f"{self._path(self._version)}:predict", content)
        except NotFoundError:
            # Some servers list versions, but do not answer under their numbers.
            if self._version is None or self._address.version is not None or self.version() != self._version:
                raise
            answer = self._connection.post(f"{self._path(None)}:predict", content)
            self._version = None
            return answer

    def _status(self):
        """The version that answers, None where the server has none; and all that it says."""
        said = self._connection.get(self._path(self._address.version))
        with contextlib.suppress(LookupError, TypeError, ValueError):
            found = {int(one["version"]): one["state"] for one in said["model_version_status"]}
            available = [version for version, state in found.items() if state == "AVAILABLE"]
            if not available:
                raise UnavailableError(f"no version of {self._address.model} is available", not_seen=True)
            return str(max(available)), said
        if said.get("ready") is False:
            raise UnavailableError(f"{self._address.model} is not ready", not_seen=True)
        return None, said

    def _path(self, version):
        part = f"/labels/{self._address.label}" if self._address.label else f"/versions/{version}" if version else ""
        return f"/v1/models/{self._address.model}{part}"


def _forms(tensors):
    found = []
    for name, tensor in tensors.items():
        shape = tensor.get("tensor_shape", {})
        sizes = None if shape.get("unknown_rank") else tuple(int(one["size"]) for one in shape.get("dim", ()))
        found.append(TensorForm(name, _TYPES.get(tensor.get("dtype")), sizes))
    return found


def _outputs(content):
    """Arrays by name, of rows that are numbers, lists, or by name; or of columns by name."""
    columns = content.get("outputs")
    if columns is None:
        rows = content.get("predictions")
        if not isinstance(rows, list):
            raise UnavailableError(
                f"an answer without predictions, but with {', '.join(content) or 'nothing'}", answered=True
            )
        if rows and isinstance(rows[0], dict):
            if any(not isinstance(row, dict) or row.keys() != rows[0].keys() for row in rows):
                raise UnavailableError("an answer with rows of several kinds", answered=True)
            columns = {name: [row[name] for row in rows] for name in rows[0]}
        else:
            columns = {"": rows}
    elif not isinstance(columns, dict):
        columns = {"": columns}
    return {name: _array(column) for name, column in columns.items()}


def _array(column):
    try:
        array = np.array(column)
    except ValueError as error:
        raise UnavailableError("an answer with rows of several lengths", answered=True) from error
    if array.dtype == object and not isinstance(np.ravel(array)[0], str | dict):
        raise UnavailableError("an answer with something else than numbers", answered=True)
    return array
