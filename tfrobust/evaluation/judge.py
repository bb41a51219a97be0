"""The one criterion of success.

An attack has broken an example if the *recomputed* prediction is another than the label and the adversarial image is
finite, inside [0, 1] and inside the attack's ball. Examples that are misclassified to begin with are not attacked; they
count as broken. An answer that is NaN is no prediction: nothing is broken by it.

A model that answers differently each time is asked several times: broken is what most draws get wrong, and more of them
than at the clean image, both beyond chance; and never an image that the attack has not changed.
"""

import numpy as np

from tfrobust.evaluation import pixels
from tfrobust.evaluation.craft import AttackRunner, Crafted
from tfrobust.evaluation.outcome import Outcome
from tfrobust.evaluation.predictor import Predictor, Votes
from tfrobust.evaluation.prepare import Examples


def judge(runner: AttackRunner, crafted: Crafted, examples: Examples, predictor: Predictor, clean: Votes) -> Outcome:
    """Which examples an attack has broken, as it made them and after rounding to 8 bits.

    Args:
      runner, crafted: the attack and what it made.
      examples: what was attacked.
      predictor: of the target.
      clean: its predictions of the clean images.
    """
    images, labels, attacked = examples
    ball, adversarial = runner.attack.ball, crafted.adversarial
    fooled = crafted.votes.more_wrong(labels, clean) & _changed(adversarial, images) & attacked
    fools = fooled & pixels.is_valid(adversarial, images, None)
    inside = fools & pixels.is_valid(adversarial, images, ball)
    rounded = pixels.round_to_uint8(np.nan_to_num(adversarial), images, ball)
    storable = attacked & pixels.is_valid(adversarial, images, None) & pixels.fits(rounded, images, ball)
    rounded[~storable] = images[~storable]
    return Outcome(
        name=runner.name,
        attack=runner.attack,
        source=runner.source,
        examples=examples,
        adversarial=adversarial,
        rounded=rounded,
        votes=crafted.votes,
        goals=crafted.goals,
        trace=crafted.trace,
        fools=fools,
        broken=~attacked | inside,
        broken_uint8=~attacked | (storable & predictor.votes(rounded, labels).more_wrong(labels, clean)),
        invalid=int((fooled & ~inside).sum()),
        queries=crafted.queries,
        backward_passes=crafted.backward_passes,
        seconds=crafted.seconds,
    )


def _changed(adversarial, images):
    """bool [examples]: what an attack has changed."""
    return (adversarial != images).any(axis=tuple(range(1, images.ndim)))
