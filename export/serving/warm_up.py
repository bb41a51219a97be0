"""Requests that TF Serving answers before it says that a version is ready, so that no user waits for the first one."""

import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import tfrobust as tfr

if TYPE_CHECKING:  # `--help` does not wait for it
    import numpy as np

_PATH = pathlib.Path("assets.extra", "tf_serving_warmup_requests")


def write(directory: pathlib.Path, model: str, requests: Mapping[str, Mapping[str, "np.ndarray"]]) -> None:
    """Writes a record for each signature.

    Args:
      directory: of the version.
      model: the name that it is served by.
      requests: for each signature, its inputs by their names.

    Raises:
      InputError: where the messages of TF Serving are not installed.
    """
    import tensorflow as tf

    try:
        from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
    except ImportError as error:
        raise tfr.InputError("warm-up requests need TF Serving's messages: pip install 'tfrobust[serving]'") from error
    (directory / _PATH).parent.mkdir()
    with tf.io.TFRecordWriter(str(directory / _PATH)) as writer:
        for signature, inputs in requests.items():
            request = predict_pb2.PredictRequest()
            request.model_spec.name, request.model_spec.signature_name = model, signature
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictLog(request=request)
            writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())
