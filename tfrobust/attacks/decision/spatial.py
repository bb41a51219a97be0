"""Rotations and translations: Engstrom, Tran, Tsipras, Schmidt and Madry, ICML 2019, "Exploring the landscape of spatial
robustness".

No norm measures them: the attack's own limits are its threat model, and what withstands it counts as robust. The paper's
strongest search is the grid (its section 4); its gradient steps find less.
"""

import dataclasses
import itertools

import numpy as np
import tensorflow as tf

from tfrobust import seeds
from tfrobust.attacks import fields
from tfrobust.attacks.attack import Access, Attack
from tfrobust.attacks.decision.trials import worst_of
from tfrobust.attacks.problem import Problem
from tfrobust.attacks.warp import warped


@dataclasses.dataclass(frozen=True)
class Spatial(Attack):
    """Turns and moves images, bilinearly; black comes in from outside.

    An example stops at the first success; else the image with the largest margin is returned, of a model that gives labels
    alone the last.

    Attributes:
      rotation: degrees, to either side.
      translation: pixels, to each of the four sides: about a tenth of the image in the paper, 3 of MNIST and CIFAR-10, 24 of
        ImageNet.
      rotations, translations: the grid's values of the angle, and of the shift along each axis, with both ends.
      samples: None for all points of the grid, in a fixed random order, or so many uniform draws instead: the paper's
        worst-of-10 is `spatial(samples=10)`.

    Memory: 4 batches of images.

    Example:
      >>> adversarial = Spatial(rotation=30, translation=3, samples=10)(logits_fn, images, labels, seed=0)
    """

    _: dataclasses.KW_ONLY
    rotation: fields.NonNegative = 30.0
    translation: fields.NonNegative = 3.0
    rotations: fields.Count = 31
    translations: fields.Count = 5
    samples: fields.Count | None = None

    name = "spatial"
    needs = Access.DECISION_BASED

    def run(self, problem: Problem) -> tf.Tensor:
        grid, limits = self._grid(), tf.constant([self.rotation, self.translation, self.translation], tf.float32)

        def moved(index, here):
            if self.samples is None:
                places = tf.repeat(tf.gather(tf.constant(grid), [index]), tf.shape(here.labels)[0], axis=0)
            else:
                places = 2.0 * seeds.uniform(seeds.fold_in(here.keys, index), [3]) - 1.0
            places *= limits
            return warped(here.images, places[:, 0], places[:, 1:])

        return worst_of(moved, problem, self.samples or len(grid))

    def _grid(self):
        """Angles and shifts as shares of the limits: float32 [points, 3]."""
        axes = [
            np.linspace(-1.0, 1.0, count) if count > 1 and limit > 0 else [0.0]
            for count, limit in (
                (self.rotations, self.rotation),
                (self.translations, self.translation),
                (self.translations, self.translation),
            )
        ]
        return np.random.default_rng(0).permutation(list(itertools.product(*axes))).astype("float32")
