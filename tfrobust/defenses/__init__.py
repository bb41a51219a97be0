"""Ways to more robust networks. Those that train are each a `Defense` around a network, to be compiled and fitted."""

from tfrobust.defenses.adversarial_training import AdversarialTraining
from tfrobust.defenses.deep_defense import DeepDefense
from tfrobust.defenses.defense import Defense
from tfrobust.defenses.ensemble import IndependentMembers, ensemble, is_ensemble

__all__ = ["AdversarialTraining", "DeepDefense", "Defense", "IndependentMembers", "ensemble", "is_ensemble"]
