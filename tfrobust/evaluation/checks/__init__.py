"""Warnings when an evaluation is not to be trusted: each with a code, the evidence and a remedy.

After Carlini et al., "On Evaluating Adversarial Robustness" (2019), and the checks of AutoAttack and RobustBench. A
check is a function of the `Evidence` that yields warnings; a new one is a function and its name in `CHECKS`.
"""

from tfrobust.evaluation.checks import attacks, model
from tfrobust.evaluation.checks.finding import Check, Finding
from tfrobust.evaluation.evidence import Evidence

CHECKS: tuple[Check, ...] = (  # in the order of their warnings
    model.chance_accuracy,
    model.saturated_logits,
    model.random_answers,
    model.useless_gradients,
    model.few_classes,
    attacks.few_examples,
    attacks.order,
    attacks.monotone,
    attacks.grid,
    attacks.budget,
    attacks.transferred,
)


def warnings(evidence: Evidence) -> list[Finding]:
    """All warnings for one evaluation."""
    return [warning for check in CHECKS for warning in check(evidence)]
