"""Checks of the accuracy on clean images."""

import numpy as np

from tfrobust.evaluation.checks.finding import Finding
from tfrobust.evaluation.evidence import Evidence
from tfrobust.evaluation.predictor import predicted

_ENOUGH = 20  # images, of which the share of correct ones says something


def chance(evidence: Evidence):
    """SCALE: the model classifies no more images correctly than guessing would."""
    answers, labels = evidence.logits, evidence.labels
    classes = answers.shape[1] if answers.ndim == 2 else int(max(answers.max(), labels.max())) + 1
    accuracy, guessed = float(np.mean(predicted(answers) == labels)), 1 / max(classes, 2)
    if len(labels) >= _ENOUGH and accuracy <= guessed + 2 * np.sqrt(guessed * (1 - guessed) / len(labels)):
        yield Finding(
            code="SCALE",
            evidence=f"{accuracy:.1%} of the clean images are classified correctly, no more than the {guessed:.1%} of "
            f"guessing among {classes} classes",
            remedy="check that images and labels are those that the model was trained for: the scale of the pixels "
            "(bounds=(0, 255) or bounds=(-1, 1), flag --bounds), the order of the channels, the numbers of the classes",
        )
