"""The active test: an attack must succeed on a model that is made breakable, or what it reports elsewhere says nothing.

The scores of each image are shifted until twice the effect of random noise in the ball is enough to break it. The model's
gradients are what they were, so an attack that cannot follow them fails here, too. After Zimmermann et al., "Increasing
Confidence in Adversarial Robustness Evaluations" (NeurIPS 2022), who train a new last layer instead.
"""

import numpy as np
import tensorflow as tf

from tfrobust import balls, objectives, seeds
from tfrobust.attacks import Attack, Problem
from tfrobust.evaluation.probes.model import AskedModel
from tfrobust.evaluation.probes.searches import Search

NOISE = 4  # random corners of the ball
EASE = 2.0  # times the most that these change the margin
_LEAST = 1e-4  # of the spread of an image's logits: noise that changes less changes nothing


def search(model: AskedModel, attack: Attack, examples, *, seed: int, generator) -> Search:
    """Attacks each image of a sample by itself, since each has a model of its own.

    Args:
      model: what is made breakable.
      attack: a bounded attack.
      examples: (images, labels, rows int [sample]): those of the evaluation, and which of them are the sample.
      seed: that of the evaluation.
      generator: a NumPy generator, for the noise.
    """
    images, labels, rows = examples
    clean, labels = images[rows], labels[rows].astype("int32")
    shifts = _shifts(model, attack.ball, clean, labels, generator)
    keys = seeds.per_example(seed, tf.constant(rows, tf.int32))

    @tf.function(autograph=False)
    def broken(image, label, shift, key):
        def shifted(x):
            return tf.cast(model.logits_fn(x), tf.float32) + shift

        made = attack.solve(Problem(shifted, image, label, keys=key))
        return tf.argmax(shifted(made), axis=1, output_type=tf.int32) != label

    found = [
        broken(*(tf.constant(part[place : place + 1]) for part in (clean, labels, shifts)), keys[place : place + 1])
        for place in range(len(rows))
    ]
    return Search(str(attack), np.concatenate(found), labels)


def _shifts(model, ball, images, labels, generator):
    """What is added to the logits: float32 [images, classes], below 0 at the label, and 0 where little is missing."""
    logits = model.logits(images)
    before = objectives.margin(logits, labels).numpy()
    signs = generator.choice(np.array([-1.0, 1.0], "float32"), (NOISE, *images.shape))
    corners = [np.clip(images + _scaled(ball, one), 0.0, 1.0) for one in signs]
    change = np.max([objectives.margin(model.logits(noisy), labels).numpy() - before for noisy in corners], axis=0)
    least = _LEAST * np.ptp(logits, axis=1)
    shifts = np.zeros_like(logits)
    shifts[np.arange(len(labels)), labels] = np.minimum(before + EASE * np.maximum(change, least), 0.0)
    return shifts


def _scaled(ball: balls.Ball, signs):
    return signs * np.float32(ball.radius / float(ball.size(signs[:1])[0]))
