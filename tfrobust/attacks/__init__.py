"""Attacks: frozen values whose call is a pure function `attack(logits_fn, images, labels, *, seed) -> images`.

None of them contains a `tf.function`: compile the outermost caller once. `attack.needs` says what access to the model
it takes: white-box, score-based or decision-based. Under the names by which `parse` reads them they are here as well:
`attacks.square(balls.Linf(0.1), queries=500)`.
"""

from tfrobust.attacks import spec
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.compose import (
    Budget,
    Cascade,
    Expectation,
    Pruned,
    Restarts,
    Restricted,
    Targeted,
    auto_attack,
)
from tfrobust.attacks.decision.adversarial_patch import AdversarialPatch, train_patch
from tfrobust.attacks.decision.boundary import Boundary
from tfrobust.attacks.decision.hop_skip_jump import HopSkipJump
from tfrobust.attacks.decision.spatial import Spatial
from tfrobust.attacks.gradient.apgd import APGD, apgd, apgd_targeted
from tfrobust.attacks.gradient.carlini_wagner import CarliniWagner
from tfrobust.attacks.gradient.ddn import DDN
from tfrobust.attacks.gradient.deepfool import DeepFool, minimal_perturbation
from tfrobust.attacks.gradient.ead import EAD
from tfrobust.attacks.gradient.fab import FAB
from tfrobust.attacks.gradient.fmn import FMN
from tfrobust.attacks.gradient.jsma import JSMA
from tfrobust.attacks.gradient.pdpgd import PDPGD
from tfrobust.attacks.gradient.pgd import PGD, bim, fgsm, mi_fgsm, pgd
from tfrobust.attacks.gradient.sigma_zero import SigmaZero
from tfrobust.attacks.problem import LogitsFn, Problem
from tfrobust.attacks.score.one_pixel import OnePixel
from tfrobust.attacks.score.sparse_rs import SparseRS
from tfrobust.attacks.score.spsa import SPSA
from tfrobust.attacks.score.square import Square
from tfrobust.attacks.spec import parse, parse_ball
from tfrobust.attacks.surviving import Surviving
from tfrobust.attacks.trace import Trace

globals().update(spec.ATTACKS)

__all__ = [  # noqa: PLE0604
    *spec.ATTACKS,
    "APGD",
    "DDN",
    "EAD",
    "FAB",
    "FMN",
    "JSMA",
    "PDPGD",
    "PGD",
    "SPSA",
    "Access",
    "AdversarialPatch",
    "Attack",
    "Boundary",
    "Budget",
    "CarliniWagner",
    "Cascade",
    "DeepFool",
    "Expectation",
    "HopSkipJump",
    "LogitsFn",
    "OnePixel",
    "Problem",
    "Pruned",
    "Restarts",
    "Restricted",
    "SigmaZero",
    "SparseRS",
    "Spatial",
    "Square",
    "Surviving",
    "Targeted",
    "Trace",
    "minimal_perturbation",
    "parse",
    "parse_ball",
    "train_patch",
]
