"""The flags that say how a network is defended while it trains."""

from absl import flags

from trainers.defense import KINDS, DefenseConfig

DEFENSE = flags.DEFINE_enum("defense", "none", KINDS, "How to train.")
LAM = flags.DEFINE_float("lam", 15.0, "Deep Defense: weight of the regularizer.", lower_bound=0.0)
C = flags.DEFINE_float("c", 25.0, "Deep Defense: exp(-c rho_2) for correct predictions.", lower_bound=0.0)
D = flags.DEFINE_float("d", 5.0, "Deep Defense: exp(d rho_2) for wrong predictions.", lower_bound=0.0)
DEEPFOOL_STEPS = flags.DEFINE_integer("deepfool_steps", 5, "Deep Defense: DeepFool iterations.", lower_bound=1)
CANDIDATES = flags.DEFINE_integer(
    "candidates", 10, "Deep Defense: of how many likeliest classes the nearest boundary is sought.", lower_bound=2
)
FROZEN_BATCH_NORM = flags.DEFINE_bool(
    "frozen_batch_norm", False, "Deep Defense: keep the means and variances of batch normalization as they are."
)
TRAINING_ATTACK = flags.DEFINE_string(
    "training_attack", "pgd(linf(8/255), steps=7, step_size=2/255)", "Adversarial training: the attack to train on."
)
CLEAN_SHARE = flags.DEFINE_float(
    "clean_share", 0.0, "Adversarial training: weight of the clean images' loss.", lower_bound=0.0, upper_bound=1.0
)


def from_flags() -> DefenseConfig:
    """What the flags of this module say."""
    return DefenseConfig(
        kind=DEFENSE.value,
        lam=LAM.value,
        c=C.value,
        d=D.value,
        deepfool_steps=DEEPFOOL_STEPS.value,
        candidates=CANDIDATES.value,
        frozen_batch_norm=FROZEN_BATCH_NORM.value,
        training_attack=TRAINING_ATTACK.value,
        clean_share=CLEAN_SHARE.value,
    )
