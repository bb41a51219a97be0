"""The open inference protocol, version 2, of KServe, Triton and OpenVINO, as JSON over HTTP."""

import struct
import uuid

import numpy as np

from tfrobust.targets.serving.address import Address
from tfrobust.targets.serving.connection import Connection
from tfrobust.targets.serving.patience import UnavailableError
from tfrobust.targets.serving.protocol import Answer, Description, Protocol, TensorForm, digest_in, only_input

_TYPES = {
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
    "BF16": "bfloat16",
    "BOOL": "bool",
    "BYTES": "string",
}
_TYPES |= {f"{kind.upper()}{bits}": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)}
_NAMES = {kind: name for name, kind in _TYPES.items()}


class OpenInferenceProtocol(Protocol):
    """A model at `/v2/models/…`. The version that answers is in every answer, where the server has versions.

    Args:
      connection: to the server.
      address: of the model.
    """

    def __init__(self, connection: Connection, address: Address):
        self._connection, self._address = connection, address
        self._path = f"/v2/models/{address.model}" + (f"/versions/{address.version}" if address.version else "")
        self._input = "input"

    def describe(self):
        said = self._connection.get(self._path)
        inputs, outputs = (_forms(said.get(kind) or ()) for kind in ("inputs", "outputs"))
        form = only_input(inputs, self._address.model) if inputs else None
        self._input = form.name if form else self._input
        return Description(self._version_of(said), digest_in(said), form, outputs)

    def version(self):
        return self._version_of(self._connection.get(self._path))

    def predict(self, images):
        if isinstance(images, list):  # files are no text, so they stand behind the JSON
            tensor: dict[str, object] = {"shape": [len(images)], "datatype": "BYTES"}
            binary = b"".join(struct.pack("<I", len(image)) + image for image in images)
            tensor["parameters"] = {"binary_data_size": len(binary)}
        else:
            tensor = {
                "shape": list(images.shape),
                "datatype": _NAMES[images.dtype.name],
                "data": images.ravel().tolist(),
            }
            binary = b""
        request = {"id": str(uuid.uuid4()), "inputs": [{"name": self._input, **tensor}]}
        content = self._connection.post(f"{self._path}/infer", request, binary)
        return Answer(_outputs(content.get("outputs")), _text(content.get("model_version")))

    def _version_of(self, said):
        """The one that was asked for, else the highest; None where there are none."""
        versions = [str(version) for version in said.get("versions") or ()]
        if self._address.version:
            return self._address.version if self._address.version in versions or not versions else versions[-1]
        return max(versions, key=lambda version: (version.isdecimal() and int(version), version), default=None)


def _text(version):
    return None if version in (None, "") else str(version)


def _forms(tensors):
    return [
        TensorForm(one["name"], _TYPES.get(one.get("datatype")), tuple(one.get("shape") or ()) or None)
        for one in tensors
    ]


def _outputs(tensors):
    try:
        return {one["name"]: np.array(one["data"], _TYPES[one["datatype"]]).reshape(one["shape"]) for one in tensors}
    except (LookupError, TypeError, ValueError) as error:
        raise UnavailableError(f"an answer whose outputs cannot be read: {error}", answered=True) from error
