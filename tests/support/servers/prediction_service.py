"""A gRPC server with TF Serving's services on its official stubs, which holds a SavedModel: TF Serving's protocol, not its server.

    python -m tests.support.servers.prediction_service --base=models/lenet [--port=0] [--counted=FILE]

Prints its port. Every answered request adds a line to FILE: its number of images, and the seconds at which it began and
ended, of the machine's monotonic clock. Works with one thread.
"""

import concurrent.futures
import pathlib
import time

import grpc
import tensorflow as tf
from absl import app, flags
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

BASE = flags.DEFINE_string("base", None, "Folder with numbered versions.", required=True)
NAME = flags.DEFINE_string("name", "lenet", "Of the model.")
PORT = flags.DEFINE_integer("port", 0, "0: any.")
COUNTED = flags.DEFINE_string("counted", None, "File that gets a line for each answered request.")


class Served:
    """The highest version of a model."""

    def __init__(self, base, name):
        self.name, self.version = (
            name,
            max(int(entry.name) for entry in pathlib.Path(base).iterdir() if entry.name.isdecimal()),
        )
        folder = pathlib.Path(base, str(self.version))
        self._module = tf.saved_model.load(str(folder))
        saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        self.definitions = saved.meta_graphs[0].signature_def
        self.signatures = self._module.signatures

    def check(self, specification, context):
        """Ends the call for another model or version."""
        if specification.name != self.name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Latest({specification.name})")
        if specification.version.value not in (0, self.version):  # 0 and absent: the latest
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found: Specific({specification.version.value})")


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata."""

    def __init__(self, served, counted):
        self._served, self._counted = served, counted

    def Predict(self, request, context):  # noqa: N802
        """Runs a signature."""
        served, started = self._served, time.monotonic()
        served.check(request.model_spec, context)
        name = request.model_spec.signature_name or "serving_default"
        if name not in served.signatures:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Serving signature name: {name!r} not found")
        inputs = {key: tf.constant(tf.make_ndarray(tensor)) for key, tensor in request.inputs.items()}
        try:
            found = served.signatures[name](**inputs)
        except (tf.errors.OpError, TypeError, ValueError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error).splitlines()[0])
        response = predict_pb2.PredictResponse(
            outputs={key: tf.make_tensor_proto(value) for key, value in found.items()}
        )
        response.model_spec.name, response.model_spec.signature_name = served.name, name
        response.model_spec.version.value = served.version
        if self._counted:
            with open(self._counted, "a", encoding="utf-8") as file:
                file.write(f"{len(next(iter(inputs.values())))} {started} {time.monotonic()}\n")
        return response

    def GetModelMetadata(self, request, context):  # noqa: N802
        """The signatures."""
        self._served.check(request.model_spec, context)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name, response.model_spec.version.value = self._served.name, self._served.version
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in self._served.definitions.items():
            signatures.signature_def[name].CopyFrom(definition)
        response.metadata["signature_def"].Pack(signatures)
        return response


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus."""

    def __init__(self, served):
        self._served = served

    def GetModelStatus(self, request, context):  # noqa: N802
        """The one version."""
        self._served.check(request.model_spec, context)
        response = get_model_status_pb2.GetModelStatusResponse()
        status = response.model_version_status.add(version=self._served.version)
        status.state = status.AVAILABLE
        return response


def main(_):
    served = Served(BASE.value, NAME.value)
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(1),
        options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(served, COUNTED.value), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(served), server)
    print(server.add_insecure_port(f"127.0.0.1:{PORT.value}"), flush=True)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    app.run(main)
