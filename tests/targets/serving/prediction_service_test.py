"""gRPC that fails: what may pass is asked again, as late as the server asks; what does not ends with one line."""

import concurrent.futures

import grpc
import numpy as np
import pytest
import tensorflow as tf

from tests.support.servers import rest
from tfrobust import targets
from tfrobust.errors import InputError
from tfrobust.targets import EndpointConfig

pytest.importorskip("tensorflow_serving", reason="TF Serving's messages are an extra")
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

IMAGES = np.random.default_rng(0).uniform(size=[8, 4, 4, 1]).astype("float32")


class _Service(prediction_service_pb2_grpc.PredictionServiceServicer, model_service_pb2_grpc.ModelServiceServicer):
    """The linear model of `rest`, with faults by the number of a call."""

    def __init__(self):
        self.faults, self.calls, self.version, self.metadata = {}, 0, 1, []

    def Predict(self, request, context):  # noqa: N802
        self.metadata.append(dict(context.invocation_metadata()))
        fault, self.calls = self.faults.get(self.calls), self.calls + 1
        if fault:
            code, push_back = fault
            if push_back is not None:
                context.set_trailing_metadata((("grpc-retry-pushback-ms", push_back),))
            context.abort(code, "told to fail")
        logits = rest.logits(tf.make_ndarray(request.inputs["image"]))
        response = predict_pb2.PredictResponse(outputs={"logits": tf.make_tensor_proto(logits)})
        response.model_spec.version.value = self.version
        return response

    def GetModelMetadata(self, request, context):  # noqa: N802
        response, signatures = (
            get_model_metadata_pb2.GetModelMetadataResponse(),
            get_model_metadata_pb2.SignatureDefMap(),
        )
        response.model_spec.version.value = self.version
        definition = signatures.signature_def["serving_default"]
        definition.inputs["image"].dtype = definition.outputs["logits"].dtype = tf.float32.as_datatype_enum
        definition.inputs["image"].tensor_shape.CopyFrom(tf.TensorShape([None, 4, 4, 1]).as_proto())
        definition.outputs["logits"].tensor_shape.CopyFrom(tf.TensorShape([None, 4]).as_proto())
        response.metadata["signature_def"].Pack(signatures)
        return response

    def GetModelStatus(self, request, context):  # noqa: N802
        response = get_model_status_pb2.GetModelStatusResponse()
        status = response.model_version_status.add(version=self.version)
        status.state = status.AVAILABLE
        return response


@pytest.fixture
def served(monkeypatch):
    """A service, and its address; pauses are kept instead of slept."""
    server, service = grpc.server(concurrent.futures.ThreadPoolExecutor(2)), _Service()
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(service, server)
    service.address = f"grpc://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}/linear"
    service.pauses = []
    monkeypatch.setattr("tfrobust.targets.serving.patience.time.sleep", service.pauses.append)
    server.start()
    yield service
    server.stop(None).wait()


def _asked(served, **config):
    return targets.load(served.address, endpoint=EndpointConfig(images_per_request=4, **config))


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL]
)
def test_what_may_pass_is_asked_again(served, code):
    served.faults = {0: (code, None), 2: (code, "1500")}
    target = _asked(served)
    np.testing.assert_allclose(target.logits(IMAGES), rest.logits(IMAGES), rtol=1e-6)
    assert served.calls == 4 and 1.5 in served.pauses
    without = 0 if code is grpc.StatusCode.RESOURCE_EXHAUSTED else 8
    assert target.about()["queries_without_answer"] == without and target.about()["retries"] == 2


def test_a_server_that_does_not_want_to_be_asked_again_is_not(served):
    served.faults = {1: (grpc.StatusCode.UNAVAILABLE, "-1")}
    with pytest.raises(InputError, match="go on later"):
        _asked(served).logits(IMAGES)


@pytest.mark.parametrize(
    "code, message",
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "refuses the request: INVALID_ARGUMENT told to fail"),
        (grpc.StatusCode.UNAUTHENTICATED, "TFROBUST_TOKEN"),
        (grpc.StatusCode.NOT_FOUND, "no such model"),
    ],
)
def test_what_does_not_pass_ends_with_a_line(served, code, message):
    served.faults = dict.fromkeys(range(100), (code, None))
    with pytest.raises(InputError, match=message):
        _asked(served).logits(IMAGES)


def test_another_version_in_an_answer_is_found(served):
    target = _asked(served)
    target.logits(IMAGES)
    served.version = 2
    with pytest.raises(InputError, match="served version 1 at the start and serves 2 now"):
        target.logits(1.0 - IMAGES)


def test_a_server_that_answers_with_another_version_than_asked_for_is_refused(served):
    served.version = 2
    with pytest.raises(InputError, match="the server answers with version 2"):
        targets.load(f"{served.address}/1")


def test_the_token_goes_with_every_call(served):
    _asked(served, token="secret").logits(IMAGES)
    assert {call["authorization"] for call in served.metadata} == {"Bearer secret"}
