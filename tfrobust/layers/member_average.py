"""The average of several networks' logits, as a layer.

logits           mean_m z_m(x)
probabilities    log mean_m softmax(z_m(x))        whose softmax is the mean of the members' probabilities
"""

import math
from typing import Any

import keras
from keras import ops

from tfrobust.errors import InputError

AVERAGES = ("logits", "probabilities")


@keras.saving.register_keras_serializable(package="tfrobust")
class MemberAverage(keras.layers.Layer):
    """The logits of an ensemble from a list of its members' logits, in float32.

    Args:
      average: "logits" or "probabilities", whose formulas are above.

    Raises:
      InputError: for another `average`.

    Example:
      >>> MemberAverage("logits")([keras.ops.zeros([1, 3]), keras.ops.ones([1, 3])]).numpy().tolist()
      [[0.5, 0.5, 0.5]]
    """

    def __init__(self, average: str = "logits", **kwargs: Any):
        super().__init__(**{"dtype": "float32", **kwargs})
        if average not in AVERAGES:
            raise InputError(f"average must be one of {', '.join(AVERAGES)}; got {average!r}")
        self.average = average

    def call(self, logits):
        members = ops.stack(logits)
        if self.average == "logits":
            return ops.mean(members, axis=0)
        return ops.logsumexp(ops.log_softmax(members), axis=0) - math.log(len(logits))

    def compute_output_shape(self, input_shapes):
        return input_shapes[0]

    def get_config(self):
        return {**super().get_config(), "average": self.average}
