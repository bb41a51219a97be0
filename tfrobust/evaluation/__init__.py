"""Judging models under attack: `evaluate` runs attacks and returns an `Evaluation` to print or save."""

from tfrobust.evaluation import metrics
from tfrobust.evaluation.report import Evaluation, save, table
from tfrobust.evaluation.runner import Outcome, evaluate
from tfrobust.evaluation.transfer import Transfer, evaluate_transfer

__all__ = ["Evaluation", "Outcome", "Transfer", "evaluate", "evaluate_transfer", "metrics", "save", "table"]
