"""Images on which an artifact is wrong where its reference is still right: what an attack on the deployment alone looks like.

DIVA (Hao et al., MLSys 2022) raises the reference's probability of the label less a constant times the artifact's. Here both
are asked for by one margin, the smaller of by how much the reference is right and by how much the artifact is wrong: it is
positive exactly where the attack has succeeded and has no constant to choose, and every white-box attack can raise it.
"""

from typing import TYPE_CHECKING, NamedTuple

import tensorflow as tf

import tfrobust as tfr
from tfrobust import objectives, seeds
from tfrobust.attacks import Attack, Problem
from tfrobust.evaluation import batches

if TYPE_CHECKING:
    import numpy as np


class Differential(NamedTuple):
    """What was found.

    Attributes:
      attack: its text.
      examples: the images that both classify correctly, which were attacked.
      successes: of them, those on which the artifact itself is wrong and the reference right.
      by_attacks: those on which an attack on the artifact alone does that by chance; None where none was made.
    """

    attack: str
    examples: int
    successes: int
    by_attacks: int | None


class DifferentialProblem(Problem):
    """The problem of an attacker who wants the second of two models to be wrong and the first to be right.

    `model` maps images to the logits of both. What the attack sees are those of `together`, so that its own criterion of
    success is this one.
    """

    def _ask(self, x):
        reference, artifact = (tf.cast(logits, tf.float32) for logits in self.model(self.shown(x)))
        return together(reference, artifact, self.labels)


def together(reference: tf.Tensor, artifact: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The artifact's logits, the label's raised so that its margin is no smaller than the reference's is wrong.

    Args:
      reference, artifact: float32 [batch, classes].
      labels: int [batch].

    Returns:
      float32 [batch, classes] whose `objectives.margin` is the smaller of the artifact's and minus the reference's.
    """
    likeliest_wrong = tf.reduce_max(objectives.without(artifact, labels), axis=1)
    label = tf.maximum(objectives.of_class(artifact, labels), likeliest_wrong + objectives.margin(reference, labels))
    is_label = tf.one_hot(labels, tf.shape(artifact)[1], on_value=True, off_value=False)
    return tf.where(is_label, label[:, None], artifact)


def attacked(
    attack: Attack,
    reference: "tfr.targets.Target",
    artifact: "tfr.targets.Target",
    images: "np.ndarray",
    labels: "np.ndarray",
    seed: int = 0,
) -> "np.ndarray":
    """Images like these that `attack`, of white-box access, finds: float32 [examples, height, width, channels].

    Args:
      attack: such as `pgd(linf(8/255))`.
      reference, artifact: both white-box, of the same classes.
      images: float32 [examples, height, width, channels] in [0, 1].
      labels: int [examples]; an image that one of the two misclassifies comes back as the attack leaves it.
      seed: of its random draws.
    """
    import numpy as np

    def solve(images, labels, keys):
        def both(x):
            return reference.logits_fn(x), artifact.logits_fn(x)

        return attack.solve(DifferentialProblem(both, images, labels, keys=keys))

    run = tfr.targets.compiled(solve)
    keys = np.asarray(seeds.per_example(seed, np.arange(len(images))))
    size = min(batches.default_size(images.shape[1:]), len(images))
    made = [
        run(tf.constant(some), tf.constant(wanted, tf.int32), tf.constant(own))[:count].numpy()
        for some, wanted, own, count in batches.padded(size, images, labels, keys)
    ]
    return np.concatenate(made)
