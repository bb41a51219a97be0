"""TF Serving's gRPC interface: PredictionService and ModelService, by its own messages."""

import grpc
import tensorflow as tf

from tfrobust.errors import InputError
from tfrobust.targets.serving.address import Address
from tfrobust.targets.serving.config import TOKEN_VARIABLE, EndpointConfig
from tfrobust.targets.serving.patience import UnavailableError
from tfrobust.targets.serving.protocol import Answer, Description, NotFoundError, Protocol, TensorForm, only_input

_OPTIONS = (
    ("grpc.max_send_message_length", -1),  # the default of 4 MB is less than 7 photographs
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_retries", 0),  # we retry, and count
)
_CODE = grpc.StatusCode
_OVERLOADED = (_CODE.RESOURCE_EXHAUSTED,)
_PASSING = (_CODE.UNAVAILABLE, _CODE.DEADLINE_EXCEEDED, _CODE.ABORTED, _CODE.INTERNAL, _CODE.CANCELLED, _CODE.UNKNOWN)
_PUSH_BACK = "grpc-retry-pushback-ms"
_FOR_EVER = 1e9  # seconds: the server does not want to be asked again


class PredictionServiceProtocol(Protocol):
    """A model of a server's PredictionService.

    Args:
      address: of the model.
      config: how it is asked.

    Raises:
      InputError: where tensorflow-serving-api is not installed, or the certificate cannot be read.
    """

    def __init__(self, address: Address, config: EndpointConfig):
        try:
            from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc
        except ImportError as error:
            raise InputError("grpc:// needs TF Serving's messages: pip install 'tfrobust[serving]'") from error
        self._address, self._config = address, config
        self._signature, self._version, self._input = config.signature or "serving_default", address.version, "image"
        channel = _channel(address, config)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(channel)
        self._metadata = (("authorization", f"Bearer {config.token}"),) if config.token else None

    def describe(self):
        """Of its metadata."""
        from tensorflow_serving.apis import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        said = self._call(self._prediction.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        said.metadata["signature_def"].Unpack(signatures)
        definitions = signatures.signature_def
        if self._signature not in definitions:
            known = ", ".join(sorted(definitions))
            raise InputError(f"{self._address.model} has no signature {self._signature}, but {known}")
        definition = definitions[self._signature]
        form = only_input(_forms(definition.inputs), self._address.model)
        self._input = form.name
        version = str(said.model_spec.version.value) if said.model_spec.HasField("version") else None
        if self._address.label is None:
            self._version = version
        return Description(version, None, form, _forms(definition.outputs))

    def version(self):
        from tensorflow_serving.apis import get_model_status_pb2

        said = self._call(self._models.GetModelStatus, get_model_status_pb2.GetModelStatusRequest(), version=None)
        available = [one.version for one in said.model_version_status if one.state == one.AVAILABLE]
        if not available:
            raise UnavailableError(f"no version of {self._address.model} is available", not_seen=True)
        return str(max(available))

    def predict(self, images):
        from tensorflow_serving.apis import predict_pb2

        tensor = tf.make_tensor_proto(images, tf.string if isinstance(images, list) else None)
        request = predict_pb2.PredictRequest(inputs={self._input: tensor})
        request.model_spec.signature_name = self._signature
        said = self._call(self._prediction.Predict, request)
        version = str(said.model_spec.version.value) if said.model_spec.HasField("version") else None
        try:
            return Answer({name: tf.make_ndarray(tensor) for name, tensor in said.outputs.items()}, version)
        except (TypeError, ValueError) as error:
            raise UnavailableError(f"an answer whose outputs cannot be read: {error}", answered=True) from error

    def _call(self, method, request, version=...):
        request.model_spec.name = self._address.model
        version = self._version if version is ... else version
        if self._address.label:
            request.model_spec.version_label = self._address.label
        elif version:
            request.model_spec.version.value = int(version)
        try:
            return method(request, timeout=self._config.timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise _meaning(error, self._address) from error


def _channel(address, config):
    if not address.secure:
        return grpc.insecure_channel(address.host, _OPTIONS)
    authorities = None
    if config.ca_certificate:
        try:
            with open(config.ca_certificate, "rb") as file:
                authorities = file.read()
        except OSError as error:
            raise InputError(f"{config.ca_certificate} is no readable certificate: {error}") from error
    return grpc.secure_channel(address.host, grpc.ssl_channel_credentials(authorities), _OPTIONS)


def _meaning(error, address):
    """What a failed call means: `NotFoundError`, `UnavailableError` or `InputError`."""
    code, message = error.code(), f"{error.code().name} {' '.join((error.details() or '').split())[:300]}"
    if code in (_CODE.NOT_FOUND, _CODE.UNIMPLEMENTED):
        return NotFoundError(message)
    if code in (_CODE.UNAUTHENTICATED, _CODE.PERMISSION_DENIED):
        return InputError(f"{address.host} does not let us in ({message}): put a bearer token into {TOKEN_VARIABLE}")
    if code in (*_OVERLOADED, *_PASSING):
        overloaded = code in _OVERLOADED
        return UnavailableError(
            message, _push_back(error), overloaded=overloaded, not_seen=overloaded or _not_sent(error)
        )
    return InputError(f"{address.host} refuses the request: {message}")


def _push_back(error):
    """Seconds that the server asks to wait; None where it does not say."""
    for key, value in error.trailing_metadata() or ():
        if key == _PUSH_BACK:
            try:
                return int(value) / 1000.0 if int(value) >= 0 else _FOR_EVER
            except ValueError:
                return _FOR_EVER  # as the specification of gRPC has it
    return None


def _not_sent(error):
    return error.code() is _CODE.UNAVAILABLE and "failed to connect" in (error.details() or "").lower()


def _forms(tensors):
    found = []
    for name, tensor in tensors.items():
        shape = tensor.tensor_shape
        sizes = None if shape.unknown_rank else tuple(one.size for one in shape.dim)
        found.append(TensorForm(name, tf.as_dtype(tensor.dtype).name, sizes))
    return found
