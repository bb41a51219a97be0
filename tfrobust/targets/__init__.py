"""Targets: what can be attacked. Each maps images to logits and says what access it allows an attacker."""

from tfrobust.targets.answers import LogProbabilities, are_probabilities, at_logits, check_answers, check_logits
from tfrobust.targets.bounds import CENTERED, PIXELS, UNIT, Bounds, how_to_give
from tfrobust.targets.function import FunctionTarget
from tfrobust.targets.keras import KerasTarget, load_model, read_model
from tfrobust.targets.load import as_target, load
from tfrobust.targets.saved_model import SavedModelTarget
from tfrobust.targets.surrogate import WithSurrogate
from tfrobust.targets.target import Target, compiled
from tfrobust.targets.tflite import TFLiteTarget
from tfrobust.targets.tflite_graph import TFLiteGraph

__all__ = [
    "CENTERED",
    "PIXELS",
    "UNIT",
    "Bounds",
    "FunctionTarget",
    "KerasTarget",
    "LogProbabilities",
    "SavedModelTarget",
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
    "load",
    "load_model",
    "read_model",
]
