"""Targets: what can be attacked. Each maps images to logits and says what access it allows an attacker."""

from tfrobust.targets.answers import LogProbabilities, are_probabilities, at_logits, check_answers, check_logits
from tfrobust.targets.bounds import CENTERED, PIXELS, UNIT, Bounds, how_to_give
from tfrobust.targets.function import FunctionTarget
from tfrobust.targets.keras import KerasTarget, load_model, read_model
from tfrobust.targets.load import ModelLike, as_target, load
from tfrobust.targets.saved_model import SavedModelTarget
from tfrobust.targets.serving import TOKEN_VARIABLE, EndpointConfig, ServingTarget, is_address
from tfrobust.targets.surrogate import WithSurrogate
from tfrobust.targets.target import Target, compiled
from tfrobust.targets.tflite import TFLiteTarget
from tfrobust.targets.tflite_graph import TFLiteGraph

__all__ = [
    "CENTERED",
    "PIXELS",
    "TOKEN_VARIABLE",
    "UNIT",
    "Bounds",
    "EndpointConfig",
    "FunctionTarget",
    "KerasTarget",
    "LogProbabilities",
    "ModelLike",
    "SavedModelTarget",
    "ServingTarget",
    "TFLiteGraph",
    "TFLiteTarget",
    "Target",
    "WithSurrogate",
    "are_probabilities",
    "as_target",
    "at_logits",
    "check_answers",
    "check_logits",
    "compiled",
    "how_to_give",
    "is_address",
    "load",
    "load_model",
    "read_model",
]
