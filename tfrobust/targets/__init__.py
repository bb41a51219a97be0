"""Targets: what can be attacked. Each maps images to logits and says what access it allows an attacker."""

from tfrobust.targets.answers import LogProbabilities, are_probabilities, check_answers, check_logits
from tfrobust.targets.function import FunctionTarget
from tfrobust.targets.keras import KerasTarget, load_model
from tfrobust.targets.load import as_target, load
from tfrobust.targets.saved_model import SavedModelTarget
from tfrobust.targets.surrogate import WithSurrogate
from tfrobust.targets.target import Target, compiled
from tfrobust.targets.tflite import TFLiteTarget

__all__ = [
    "FunctionTarget",
    "KerasTarget",
    "LogProbabilities",
    "SavedModelTarget",
    "TFLiteTarget",
    "Target",
    "WithSurrogate",
    "are_probabilities",
    "as_target",
    "check_answers",
    "check_logits",
    "compiled",
    "load",
    "load_model",
]
