"""Warnings when an evaluation is not to be trusted: each with a code, the evidence and a remedy.

After Carlini et al., "On Evaluating Adversarial Robustness" (2019), Pintor et al., "Indicators of Attack Failure" (2022),
and the checks of AutoAttack and RobustBench. A check is a function of the `Evidence` that yields warnings; a new one is a
function and its name in `CHECKS`.
"""

from tfrobust.evaluation.checks import accuracy, attacks, gradients, model, searches, served
from tfrobust.evaluation.checks.attacks import ablation
from tfrobust.evaluation.checks.finding import Check, Finding
from tfrobust.evaluation.evidence import Evidence

CHECKS: tuple[Check, ...] = (  # in the order of their warnings
    accuracy.chance,
    served.endpoint,
    model.scale_of_logits,
    model.not_a_number,
    model.random_answers,
    model.company,
    model.operations,
    gradients.unconnected,
    gradients.zero,
    gradients.broken,
    gradients.untrue,
    searches.black_box,
    searches.unbounded,
    searches.converged,
    searches.active,
    model.few_classes,
    attacks.few_examples,
    attacks.order,
    attacks.monotone,
    attacks.stronger_black_box,
    attacks.last_stage,
    attacks.silent,
    attacks.incomplete,
    attacks.no_start,
    attacks.grid,
    attacks.budget,
    attacks.transferred,
    attacks.trained_with_the_same,
)


__all__ = ["CHECKS", "Check", "Finding", "ablation", "warnings"]


def warnings(evidence: Evidence) -> list[Finding]:
    """All warnings for one evaluation."""
    return [warning for check in CHECKS for warning in check(evidence)]
