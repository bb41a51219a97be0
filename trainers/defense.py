"""How a network is defended while it trains."""

import dataclasses
from typing import TYPE_CHECKING

import tfrobust as tfr

if TYPE_CHECKING:  # `--help` does not wait for them
    import keras

KINDS = ("none", "deep_defense", "adversarial_training")  # that the flags offer; "enhancer" goes with a U-Net


@dataclasses.dataclass(frozen=True)
class DefenseConfig:
    """A defense.

    Attributes:
      kind: one of `KINDS`, or "enhancer": see `tfrobust.defenses.EnhancerTraining`.
      lam, c, d, deepfool_steps, candidates, frozen_batch_norm: see `tfrobust.defenses.DeepDefense`.
      training_attack, clean_share: see `tfrobust.defenses.AdversarialTraining`.
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


def defend(network: "keras.Model", config: DefenseConfig, seed: int = 0) -> "keras.Model":
    """The Keras model to fit: the network itself, or a defense around it. The members of an ensemble train alone.

    Args:
      network: a Keras model from images to logits.
      config: the defense.
      seed: of the random draws of the attack that is trained on.
    """
    if config.kind == "deep_defense":
        return tfr.defenses.DeepDefense(
            network,
            config.lam,
            config.c,
            config.d,
            steps=config.deepfool_steps,
            candidates=config.candidates,
            frozen_batch_norm=config.frozen_batch_norm,
        )
    if config.kind == "adversarial_training":
        return tfr.defenses.AdversarialTraining(network, config.training_attack, config.clean_share, seed)
    if config.kind == "enhancer":
        return tfr.defenses.EnhancerTraining(network)
    if tfr.defenses.is_ensemble(network):
        return tfr.defenses.IndependentMembers(network)
    return network
