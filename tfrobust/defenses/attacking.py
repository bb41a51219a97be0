"""What the defenses share that train on what an attack makes of the network as it is at each step."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfrobust import attacks, seeds
from tfrobust.attacks import Attack, Problem
from tfrobust.defenses import checks
from tfrobust.defenses.defense import Batch, Defense
from tfrobust.errors import InputError


class AttackingDefense(Defense):
    """A defense that attacks its network. The abstract one: a subclass states its losses.

    The network is attacked as it is at inference. An image has new random draws in each step, the same on however many
    replicas. In validation they are the same each time. `robust_accuracy` is reported, of the adversarial images.

    Args:
      network: a Keras model from images in [0, 1] to logits. It is trained in place.
      attack: one of `tfrobust.attacks`, or its text, which `save` and `get_config` need: "pgd(linf(0.3), steps=40)".
      seed: of the attack's random draws.
      settings: the other arguments of the subclass, by their names.
      metrics: the subclass' own metrics.

    Raises:
      InputError: for an attack that cannot be parsed, or when an attack that was not given as text is to be saved.
    """

    def __init__(
        self,
        network: keras.Model,
        attack: Attack | str,
        seed: int = 0,
        settings: Mapping[str, object] | None = None,
        metrics: Sequence[keras.metrics.Metric] = (),
        **kwargs: Any,
    ):
        robust_accuracy = keras.metrics.SparseCategoricalAccuracy("robust_accuracy")
        settings = {"attack": attack, **(settings or {}), "seed": seed}
        super().__init__(network, settings, [robust_accuracy, *metrics], **kwargs)
        self.attack, self.seed = attack, seed
        self.run_attack = attacks.parse(attack) if isinstance(attack, str) else attack

    def adversarial(self, images: tf.Tensor, labels: tf.Tensor, step: int | tf.Tensor = 0) -> tf.Tensor:
        """The images of a training step: float32 [batch, height, width, channels] in [0, 1], of int labels [batch]."""
        return attacked_images(self.network, self.solve, images, labels, self.seed, step)

    def solve(self, problem: Problem) -> tf.Tensor:
        """What is made of all examples of a problem, of those that are a success already, too."""
        return solved(self.run_attack, problem)

    def attacked(self, batch: Batch, training: bool) -> Batch:
        batch = batch._replace(images=checks.checked_images(batch.images))
        step = self.optimizer.iterations.value if training else 0
        return batch._replace(adversarial=self.adversarial(batch.images, batch.classes, step))

    def get_config(self):
        if not isinstance(self.attack, str):
            raise InputError(f"to save it, give the attack as text such as 'pgd(linf(0.3))', not as {self.attack}")
        return super().get_config()


def attacked_images(network, solve: Callable[[Problem], tf.Tensor], images, labels, seed: int, step) -> tf.Tensor:
    """What an attack makes of images in a training step: its draws follow from the seed, the image and the step alone."""
    keys = seeds.fold_in(seeds.per_example(seed, content(images)), step)
    return solve(Problem(lambda x: network(x, training=False), images, labels, keys=keys))


def solved(attack: Attack, problem: Problem) -> tf.Tensor:
    """An attack on all examples; a plain call would leave alone what is misclassified."""
    problem = attack.posed(problem)
    return problem.shown(attack.run(problem))


def content(images):
    """A number that stands for an image wherever it is in the data: int32 [batch], to be used as its index.

    Images in [0, 1] are rounded to 16 bits and hashed by the inner product with odd random numbers, modulo 2^32:
    exact, so it depends neither on the batch nor on the device.
    """
    pixels = tf.cast(tf.reshape(images, [tf.shape(images)[0], -1]) * 65535.0, tf.int32)
    factors = tf.random.stateless_uniform(tf.shape(pixels)[1:], [0, 0], None, None, tf.int32)
    return tf.reduce_sum(pixels * (factors | 1), axis=1)
