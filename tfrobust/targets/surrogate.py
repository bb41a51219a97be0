"""A target together with a model that stands in for it in attacks that it does not allow."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfrobust.attacks import Access, Attack
from tfrobust.targets.load import ModelLike, as_target
from tfrobust.targets.target import ImageRows, Target

if TYPE_CHECKING:  # its package imports this module
    from tfrobust.targets.serving.probe import Probe


class WithSurrogate(Target):
    """A target whose owner has another model of the same task, such as the one that it was exported from.

    Attacks that need more than the target allows are made on the surrogate and transferred: the target still judges
    what they find. The preprocessing of the surrogate stands for the target's where that does not say its own.

    Args:
      target: what is attacked, a `Target` or anything that `as_target` takes.
      surrogate: what the other attacks are made on, likewise.

    Example:
      >>> exported = WithSurrogate("lenet.tflite", "model.keras")
      >>> evaluate(exported, images, labels, ["pgd(linf(0.1))"]).report["attacks"][0]["source"]
      'model.keras'
    """

    def __init__(self, target: ModelLike, surrogate: ModelLike):
        self.target, self.surrogate = as_target(target), as_target(surrogate)
        super().__init__(self.target.name, self.target.input_shape, self.target.bounds)
        self.local, self.takes_files = self.target.local, self.target.takes_files
        self.origin = self.surrogate.origin if self.target.origin is None else self.target.origin

    @property
    def access(self) -> Access:  # type: ignore[override]  # nobody but a target itself sets it
        """What the target allows."""
        return self.target.access

    @property
    def kind(self) -> str:
        """What the target answers with."""
        return self.target.kind

    def logits(self, images: np.ndarray | tf.Tensor) -> np.ndarray | tf.Tensor:
        return self.target.logits(images)

    def predictor(self) -> Callable[[np.ndarray], np.ndarray]:
        return self.target.predictor()

    def probe(self, images: ImageRows) -> "Probe | None":
        return self.target.probe(images)

    def about(self) -> dict | None:
        return self.target.about()

    def mapped(self, change: Callable[[Target], Target]) -> Target:
        return WithSurrogate(change(self.target), change(self.surrogate))

    def check(self, images: np.ndarray | tf.Tensor) -> None:
        self.target.check(images)
        self.surrogate.check(images)

    def attacked_by(self, attack: Attack) -> Target:
        """The target that an attack runs on: the surrogate, if the attack needs more than the target allows."""
        return self.target if self.allows(attack) else self.surrogate.attacked_by(attack)

    def represents(self, victim: Target) -> bool:
        return self.target.represents(victim)
