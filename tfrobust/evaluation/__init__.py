"""Evaluation under attack: `evaluate` runs attacks, judges them and returns an `Evaluation` to print or save."""

from tfrobust.evaluation import (
    clever,
    common_corruptions,
    comparison,
    corruptions,
    metrics,
    provenance,
    similarity,
    studies,
    thresholds,
)
from tfrobust.evaluation.config import EvaluationConfig
from tfrobust.evaluation.evaluate import evaluate, show
from tfrobust.evaluation.outcome import Outcome
from tfrobust.evaluation.render import ci
from tfrobust.evaluation.render.figures import drawn
from tfrobust.evaluation.render.page import Beside, Section, page
from tfrobust.evaluation.render.pictures import distinct
from tfrobust.evaluation.render.text import table
from tfrobust.evaluation.report import Evaluation, save
from tfrobust.evaluation.scenarios import SCENARIOS, Plan, Scenarios, evaluate_scenarios
from tfrobust.evaluation.shard import Shard
from tfrobust.evaluation.shards import Attacker, mark_failed, merge
from tfrobust.evaluation.transfer import Transfer, evaluate_transfer, merged

__all__ = [
    "SCENARIOS",
    "Attacker",
    "Beside",
    "Evaluation",
    "EvaluationConfig",
    "Outcome",
    "Plan",
    "Scenarios",
    "Section",
    "Shard",
    "Transfer",
    "ci",
    "clever",
    "common_corruptions",
    "comparison",
    "corruptions",
    "distinct",
    "drawn",
    "evaluate",
    "evaluate_scenarios",
    "evaluate_transfer",
    "mark_failed",
    "merge",
    "merged",
    "metrics",
    "page",
    "provenance",
    "save",
    "show",
    "similarity",
    "studies",
    "table",
    "thresholds",
]
