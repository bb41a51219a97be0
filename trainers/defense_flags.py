"""The flags that say how a network is defended while it trains."""

from absl import flags

from trainers.defense import KINDS, DefenseConfig

DEFENSE = flags.DEFINE_enum("defense", "none", list(KINDS), "How to train.")
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
ADDED_ATTACK = flags.DEFINE_string(
    "added_attack", None, "Deep Defense: add the cross-entropy of this attack's images, such as fgsm(linf(0.1))."
)
REGULARIZED_LAYERS = flags.DEFINE_list(
    "regularized_layers", None, "Deep Defense: the regularizer changes the weights of these layers alone."
)
TRAINING_ATTACK = flags.DEFINE_string(
    "training_attack",
    "pgd(linf(8/255), steps=7, step_size=2/255)",
    "Adversarial training, TRADES and MART: the attack to train on. Free and fast training take its ball; adversarial_set "
    "makes its images with it, once, such as deepfool().",
)
BETA = flags.DEFINE_float("beta", 6.0, "TRADES and MART: weight of the divergence.", lower_bound=0.0)
REPLAYS = flags.DEFINE_integer(
    "replays", 8, "Free training: updates for each batch; an epoch costs as many.", lower_bound=1
)
TIGHTNESS = flags.DEFINE_float(
    "tightness", 1e-4, "Parseval training: beta of the step toward orthonormal columns.", lower_bound=0.0
)
NOISE_SIGMA = flags.DEFINE_float("noise_sigma", 0.25, "Training on noise: its standard deviation, on [0, 1].")
BOUND_RADIUS = flags.DEFINE_float("bound_radius", 0.1, "Interval bound training: the linf radius, on [0, 1].")
BOUND_WARM_UP = flags.DEFINE_integer(
    "bound_warm_up", 2000, "Interval bound training: updates before the radius grows.", lower_bound=0
)
BOUND_RAMP = flags.DEFINE_integer(
    "bound_ramp", 10_000, "Interval bound training: updates in which the radius grows.", lower_bound=1
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
        added_attack=ADDED_ATTACK.value,
        regularized_layers=None if REGULARIZED_LAYERS.value is None else tuple(REGULARIZED_LAYERS.value),
        beta=BETA.value,
        replays=REPLAYS.value,
        tightness=TIGHTNESS.value,
        noise_sigma=NOISE_SIGMA.value,
        bound_radius=BOUND_RADIUS.value,
        bound_warm_up=BOUND_WARM_UP.value,
        bound_ramp=BOUND_RAMP.value,
    )
