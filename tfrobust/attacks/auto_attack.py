"""AutoAttack: several attacks one after the other, each on what the ones before have left.

Croce and Hein, ICML 2020 ("Reliable evaluation..."), section 5. No attack has anything to tune.
"""

import dataclasses

import tensorflow as tf

from tfrobust import balls, gradients, objectives, seeds
from tfrobust.attacks import survivors
from tfrobust.attacks.apgd import apgd, apgd_targeted
from tfrobust.attacks.fab import FAB
from tfrobust.attacks.square import Square
from tfrobust.attacks.wrappers import Expectation
from tfrobust.errors import InputError

VERSIONS = ("standard", "rand")


@dataclasses.dataclass(frozen=True)
class Cascade:
    """Attacks one after the other: each starts from the clean images of the examples that still stand.

    An example keeps the first image that is misclassified. The clean image is returned for those that stand at the end.

    Attributes:
      ball: what all attacks are confined to.
      attacks: a tuple of attacks.
      samples: draws of a random model over which its answer is taken.

    Example:
      >>> ball = balls.Linf(8 / 255)
      >>> adversarial = Cascade(ball, (apgd(ball), Square(ball, queries=1000)))(logits_fn, images, labels, seed=0)
    """

    ball: balls.Ball
    attacks: tuple
    samples: int = 1

    needs = "gradients"

    def __call__(self, logits_fn, images, labels, *, seed):
        """Attacks a batch.

        Args:
          logits_fn: images -> logits [batch, classes].
          images: float32 [batch, height, width, channels] in [0, 1].
          labels: int [batch], the true labels.
          seed: an int, or per-example seeds int32 [batch, 2] from `seeds.per_example`.

        Returns:
          float32 images of the same shape, inside the ball and inside [0, 1].
        """
        images, labels = tf.convert_to_tensor(images), tf.cast(labels, tf.int32)
        keys = seeds.resolve(seed, images)
        judge = gradients.Averaged(logits_fn, self.samples) if self.samples > 1 else logits_fn
        rows, _ = survivors.standing(judge, images, labels)
        final = images
        for index, attack in enumerate(self.attacks):
            attack_keys = seeds.fold_in(keys, index)

            def run(_, rows, attack=attack, attack_keys=attack_keys):
                clean, truth = tf.gather(images, rows), tf.gather(labels, rows)
                made = attack(gradients.for_rows(logits_fn, rows), clean, truth, seed=tf.gather(attack_keys, rows))
                broken = survivors.margins(judge, rows, made, truth) > 0.0
                return tf.where(balls.per_example(broken, made), made, clean), broken

            final, rows = survivors.repeat(run, 1, final, rows)
        return final


def auto_attack(ball, version="standard"):
    """AutoAttack.

    With fewer than four classes the targeted DLR is not defined, with fewer than three the DLR: differences of two
    logits take their place.

    Args:
      ball: `Linf(radius)` or `L2(radius)`.
      version: "standard": Auto-PGD on the cross-entropy, targeted Auto-PGD, targeted FAB (nine targets each), Square
        (5000 queries of a schedule for 10,000, as in the authors' code). "rand", for models that answer differently each time: Auto-PGD on the cross-entropy and on the
        DLR, with gradients and decisions over 20 draws.

    Returns:
      A `Cascade`.

    Example:
      >>> adversarial = auto_attack(balls.Linf(8 / 255))(logits_fn, images, labels, seed=0)
    """
    if not isinstance(ball, (balls.Linf, balls.L2)):
        raise InputError(f"auto_attack needs a linf or l2 ball with a radius, such as linf(8/255); got {ball!r}")
    if version == "standard":
        nearest = FAB(type(ball), targets=9, radius=ball.radius)
        return Cascade(ball, (apgd(ball), apgd_targeted(ball), nearest, Square(ball, schedule=10_000)))
    if version == "rand":
        both = (apgd(ball), apgd(ball, objective=_dlr_or_margin))
        return Cascade(ball, tuple(Expectation(attack, samples=20) for attack in both), samples=20)
    raise InputError(f"version must be one of {', '.join(VERSIONS)}; got {version!r}")


def _dlr_or_margin(logits, labels):
    return (objectives.dlr if logits.shape[1] >= 3 else objectives.margin)(logits, labels)
