"""Judging models under attack: `evaluate` runs attacks and returns an `Evaluation` to print or save."""

from tfrobust.evaluation import metrics
from tfrobust.evaluation.report import Evaluation, save, table
from tfrobust.evaluation.runner import Outcome, evaluate

__all__ = ["Evaluation", "Outcome", "evaluate", "metrics", "save", "table"]
