"""Ways to more robust networks. Those that train are each a `Defense` around a network, to be compiled and fitted.

The others are functions from a network to one that changes its images, or its answers, when it is asked.
"""

from tfrobust.defenses.adversarial_training import AdversarialTraining, FastAdversarialTraining
from tfrobust.defenses.deep_defense import DeepDefense
from tfrobust.defenses.defense import Defense
from tfrobust.defenses.enhancer_training import EnhancerTraining
from tfrobust.defenses.ensemble import IndependentMembers, ensemble, is_ensemble
from tfrobust.defenses.free_adversarial_training import FreeAdversarialTraining
from tfrobust.defenses.interval_bound_training import IntervalBoundTraining
from tfrobust.defenses.noise_training import NoiseTraining
from tfrobust.defenses.parseval import Parseval
from tfrobust.defenses.pixel_deflection import pixel_deflection
from tfrobust.defenses.pixel_shift import pixel_shift
from tfrobust.defenses.region_vote import region_vote
from tfrobust.defenses.resize_pad import resize_pad
from tfrobust.defenses.trades import MART, TRADES

__all__ = [
    "MART",
    "TRADES",
    "AdversarialTraining",
    "DeepDefense",
    "Defense",
    "EnhancerTraining",
    "FastAdversarialTraining",
    "FreeAdversarialTraining",
    "IndependentMembers",
    "IntervalBoundTraining",
    "NoiseTraining",
    "Parseval",
    "ensemble",
    "is_ensemble",
    "pixel_deflection",
    "pixel_shift",
    "region_vote",
    "resize_pad",
]
