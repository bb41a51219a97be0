"""Attacks: frozen values whose call is a pure function `attack(logits_fn, images, labels, *, seed) -> images`.

None of them contains a `tf.function`: compile the outermost caller once. `attack.needs` says what it needs of the
thing under attack: `gradients`, `scores` or `labels`.
"""

from tfrobust.attacks.apgd import APGD, apgd, apgd_targeted
from tfrobust.attacks.auto_attack import Cascade, auto_attack
from tfrobust.attacks.boundary import Boundary
from tfrobust.attacks.budget import Budget
from tfrobust.attacks.carlini_wagner import CarliniWagner
from tfrobust.attacks.deepfool import DeepFool, minimal_perturbation
from tfrobust.attacks.fab import FAB
from tfrobust.attacks.hop_skip_jump import HopSkipJump
from tfrobust.attacks.jsma import JSMA
from tfrobust.attacks.one_pixel import OnePixel
from tfrobust.attacks.pgd import PGD, bim, fgsm, mi_fgsm, pgd
from tfrobust.attacks.spec import parse
from tfrobust.attacks.spsa import SPSA
from tfrobust.attacks.square import Square
from tfrobust.attacks.wrappers import Expectation, Restarts, Restricted, Targeted

__all__ = [
    "APGD",
    "FAB",
    "JSMA",
    "PGD",
    "SPSA",
    "Boundary",
    "Budget",
    "CarliniWagner",
    "Cascade",
    "DeepFool",
    "Expectation",
    "HopSkipJump",
    "OnePixel",
    "Restarts",
    "Restricted",
    "Square",
    "Targeted",
    "apgd",
    "apgd_targeted",
    "auto_attack",
    "bim",
    "fgsm",
    "mi_fgsm",
    "minimal_perturbation",
    "parse",
    "pgd",
]
