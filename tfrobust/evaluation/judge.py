"""The one criterion of success.

An attack has broken an example if the *recomputed* prediction is another than the label and the adversarial image is
finite, inside [0, 1] and inside the attack's ball. Examples that are misclassified to begin with are not attacked; they
count as broken. An answer that is NaN is no prediction: nothing is broken by it.

A model that answers differently each time is asked several times: broken is what most draws get wrong, and more of them
than at the clean image, both beyond chance; and never an image that the attack has not changed.
"""

from collections.abc import Iterable

import numpy as np

from tfrobust.attacks import Attack
from tfrobust.evaluation import pixels, storage
from tfrobust.evaluation.config import EvaluationConfig
from tfrobust.evaluation.craft import Crafted, craft, runners
from tfrobust.evaluation.outcome import Outcome
from tfrobust.evaluation.predictor import Votes
from tfrobust.evaluation.prepare import Examples, Subject


def outcomes_of(
    named: Iterable[tuple[str, Attack]], subject: Subject, examples: Examples, config: EvaluationConfig
) -> list[Outcome]:
    """Makes each attack on a model and judges it.

    Args:
      named: attacks with their texts.
      subject: the model, which has been asked about the clean images.
      examples: what is attacked.
      config: see `evaluate`.
    """
    found = []
    for runner in runners(named, subject.target, config.pixels):
        crafted = craft(runner, subject.predictor, examples, config)
        found.append(judge(runner.name, runner.attack, crafted, examples, subject, config))
    return found


def judge(
    name: str,
    attack: Attack,
    crafted: Crafted,
    examples: Examples,
    subject: Subject,
    config: EvaluationConfig,
) -> Outcome:
    """Which examples an attack has broken, as it made them and after rounding to 8 bits.

    Args:
      name, attack: what was asked for.
      crafted: what it made.
      examples: what was attacked.
      subject: the model, which has been asked about the clean images.
      config: see `evaluate`.
    """
    images, labels, attacked = examples
    clean = subject.votes
    ball, adversarial = attack.ball, crafted.adversarial
    fooled = crafted.votes.more_wrong(labels, clean) & storage.by_parts(_changed, adversarial, images) & attacked
    sound = storage.by_parts(lambda made, clean: pixels.is_valid(made, clean, None), adversarial, images)
    inside = fooled & sound
    if ball is not None:
        inside &= storage.by_parts(lambda made, clean: pixels.in_ball(made - clean, ball), adversarial, images)
    storable, votes = _in_8_bits(adversarial, examples, ball, subject.predictor)
    queries, backward_passes = crafted.per_example()
    return Outcome(
        name=name,
        attack=attack,
        source=crafted.source,
        examples=examples,
        images=crafted.adversarial,
        votes=crafted.votes,
        goals=crafted.goals,
        trace=crafted.trace,
        fools=fooled & sound,
        broken=~attacked | inside,
        broken_uint8=~attacked | (storable & votes.more_wrong(labels, clean)),
        invalid=int((fooled & ~inside).sum()),
        queries=queries,
        backward_passes=backward_passes,
        seconds=crafted.seconds,
        batch_size=config.batch_size,
    )


def _in_8_bits(adversarial, examples, ball, predictor) -> tuple[np.ndarray, Votes]:
    """Which images can be stored in 8 bits, bool [examples], and the predictions of them, or of the clean ones."""
    images, labels, attacked = examples
    storable, drawn = [], []
    for rows in storage.parts(images, predictor.batch_size):
        rounded, fits = pixels.in_8_bits(adversarial[rows], images[rows], attacked[rows], ball)
        storable.append(fits)
        drawn.append(predictor.votes(rounded, labels[rows]).drawn)
    return np.concatenate(storable), Votes(np.concatenate(drawn, axis=1))


def _changed(adversarial, images):
    """bool [examples]: what an attack has changed."""
    return (adversarial != images).any(axis=tuple(range(1, images.ndim)))
