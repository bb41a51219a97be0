"""Attacks: frozen values whose call is a pure function `attack(logits_fn, images, labels, *, seed) -> images`.

None of them contains a `tf.function`: compile the outermost caller once. `attack.needs` says what it needs of the
thing under attack: `gradients`, `scores` or `labels`.
"""

from tfrobust.attacks.deepfool import DeepFool, minimal_perturbation
from tfrobust.attacks.pgd import PGD, bim, fgsm, mi_fgsm, pgd
from tfrobust.attacks.spec import parse
from tfrobust.attacks.wrappers import Expectation, Restarts, Restricted, Targeted

__all__ = [
    "PGD",
    "DeepFool",
    "Expectation",
    "Restarts",
    "Restricted",
    "Targeted",
    "bim",
    "fgsm",
    "mi_fgsm",
    "minimal_perturbation",
    "parse",
    "pgd",
]
