"""How a network is defended while it trains."""

import dataclasses
from typing import TYPE_CHECKING

import tfrobust as tfr
from tfrobust.errors import InputError

if TYPE_CHECKING:  # `--help` does not wait for them
    import keras

# What the flags offer; "enhancer" goes with a U-Net.
KINDS = {
    "none": "plain training",
    "deep_defense": "training that differentiates through DeepFool",
    "adversarial_training": "on the images of --training_attack",
    "adversarial_set": "on images that --training_attack made once, before the training",
    "trades": "TRADES: the divergence between clean and adversarial answers beside the loss",
    "mart": "MART: more weight on what is misclassified",
    "free": "adversarial training for free, each batch --replays times",
    "fast": "adversarial training with one step from a random start",
    "parseval": "kernels that are kept near to orthonormal",
    "noise": "on images with Gaussian noise, to be certified by smoothing",
    "interval_bounds": "on the worst logits that interval bounds allow, to be certified by them",
}


@dataclasses.dataclass(frozen=True)
class DefenseConfig:
    """A defense.

    Attributes:
      kind: one of `KINDS`, or "enhancer": see `tfrobust.defenses.EnhancerTraining`.
      lam, c, d, deepfool_steps, candidates, frozen_batch_norm, regularized_layers: see `tfrobust.defenses.DeepDefense`.
      added_attack: its `attack`, or None.
      training_attack, clean_share: see `tfrobust.defenses.AdversarialTraining`. TRADES and MART take a pgd, free and fast
        training its ball, and `adversarial_set` makes the fixed set with it.
      beta: of TRADES and MART.
      replays: see `tfrobust.defenses.FreeAdversarialTraining`.
      tightness: beta of `tfrobust.defenses.Parseval`.
      noise_sigma: sigma of `tfrobust.defenses.NoiseTraining`.
      bound_radius, bound_warm_up, bound_ramp: see `tfrobust.defenses.IntervalBoundTraining`.
    """

    kind: str = "none"
    lam: float = 15.0
    c: float = 25.0
    d: float = 5.0
    deepfool_steps: int = 5
    candidates: int = 10
    frozen_batch_norm: bool = False
    training_attack: str = "pgd(linf(8/255), steps=7, step_size=2/255)"
    clean_share: float = 0.0
    added_attack: str | None = None
    regularized_layers: tuple[str, ...] | None = None
    beta: float = 6.0
    replays: int = 8
    tightness: float = 1e-4
    noise_sigma: float = 0.25
    bound_radius: float = 0.1
    bound_warm_up: int = 2000
    bound_ramp: int = 10_000


def defend(network: "keras.Model", config: DefenseConfig, seed: int = 0) -> "keras.Model":
    """The Keras model to fit: the network itself, or a defense around it. The members of an ensemble train alone.

    Args:
      network: a Keras model from images to logits.
      config: the defense.
      seed: of the random draws of the attack that is trained on.
    """
    defenses, attack = tfr.defenses, config.training_attack
    match config.kind:
        case "deep_defense":
            found = defenses.DeepDefense(
                network,
                config.lam,
                config.c,
                config.d,
                steps=config.deepfool_steps,
                candidates=config.candidates,
                frozen_batch_norm=config.frozen_batch_norm,
                attack=config.added_attack,
                regularized_layers=config.regularized_layers,
                seed=seed,
            )
        case "adversarial_training":
            found = defenses.AdversarialTraining(network, attack, config.clean_share, seed)
        case "trades":
            found = defenses.TRADES(network, attack, config.beta, seed)
        case "mart":
            found = defenses.MART(network, attack, config.beta, seed)
        case "free":
            found = defenses.FreeAdversarialTraining(network, ball_of(config), config.replays, seed)
        case "fast":
            found = defenses.FastAdversarialTraining(network, ball_of(config), seed=seed)
        case "parseval":
            found = defenses.Parseval(network, config.tightness, seed=seed)
        case "noise":
            found = defenses.NoiseTraining(network, config.noise_sigma, seed)
        case "interval_bounds":
            found = defenses.IntervalBoundTraining(
                network, config.bound_radius, config.bound_warm_up, config.bound_ramp
            )
        case "enhancer":
            found = defenses.EnhancerTraining(network)
        case _:
            found = defenses.IndependentMembers(network) if defenses.is_ensemble(network) else network
    return found


def ball_of(config: DefenseConfig) -> str:
    """The ball of the attack that is trained on, as a text.

    Raises:
      InputError: for an attack without one.
    """
    ball = tfr.attacks.parse(config.training_attack).ball
    if ball is None:
        raise InputError(
            f"--defense={config.kind} takes the ball of --training_attack, such as pgd(linf(8/255)); "
            f"{config.training_attack} has none"
        )
    return str(ball)
