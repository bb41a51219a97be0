"""The flags that say how a network is defended while it trains."""

from absl import flags

import tfrobust as tfr
from trainers import common

DEFENSE = flags.DEFINE_enum("defense", "none", ["none", "deep_defense", "adversarial_training"], "How to train.")
LAM = flags.DEFINE_float("lam", 15.0, "Deep Defense: weight of the regulariser.", lower_bound=0.0)
C = flags.DEFINE_float("c", 25.0, "Deep Defense: exp(-c rho_2) for right predictions.", lower_bound=0.0)
D = flags.DEFINE_float("d", 5.0, "Deep Defense: exp(d rho_2) for wrong predictions.", lower_bound=0.0)
DEEPFOOL_STEPS = flags.DEFINE_integer("deepfool_steps", 5, "Deep Defense: DeepFool iterations.", lower_bound=1)

TRAINING_ATTACK = flags.DEFINE_string(
    "training_attack", "pgd(linf(8/255), steps=7, step_size=2/255)", "Adversarial training: the attack to train on."
)
CLEAN_SHARE = flags.DEFINE_float(
    "clean_share", 0.0, "Adversarial training: weight of the clean images' loss.", lower_bound=0.0, upper_bound=1.0
)


def defend(network):
    """The Keras model to fit: the network itself, or a defence around it. The members of an ensemble train alone."""
    if DEFENSE.value == "deep_defense":
        return tfr.defenses.DeepDefense(network, LAM.value, C.value, D.value, steps=DEEPFOOL_STEPS.value)
    if DEFENSE.value == "adversarial_training":
        return tfr.defenses.AdversarialTraining(network, TRAINING_ATTACK.value, CLEAN_SHARE.value, common.SEED.value)
    if tfr.defenses.is_ensemble(network):
        return tfr.defenses.IndependentMembers(network)
    return network
