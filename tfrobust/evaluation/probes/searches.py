"""Attacks on a sample: what a black-box search, a far larger radius and twice the steps break."""

import dataclasses
import functools
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust import attacks, balls, seeds
from tfrobust.attacks import Attack, Problem
from tfrobust.evaluation import batches
from tfrobust.evaluation.probes.model import AskedModel

SQUARE_QUERIES = 200
FAR_STEPS = 20
_GRAY = 0.5  # of a pixel: what makes any image gray


class Search(NamedTuple):
    """What an attack did to a sample.

    Attributes:
      attack: its text.
      broken: bool [sample].
      labels: int [sample].
    """

    attack: str
    broken: np.ndarray
    labels: np.ndarray


def search(model: AskedModel, attack: Attack, examples, *, seed: int, pixels: str = "float") -> Search:
    """Runs an attack on a sample, in equal batches of at most the model's batch size.

    Args:
      model: what is attacked.
      attack: a bounded attack.
      examples: (images, labels, rows int [sample]): those of the evaluation, and which of them are the sample.
      seed: that of the evaluation.
      pixels: "float" or "uint8", as in the evaluation.
    """
    images, labels, rows = examples
    run = model.compiled(functools.partial(_run, attack, pixels))
    parts, size = [], -(-len(rows) // -(-len(rows) // model.batch_size))
    for some, count in batches.padded(size, rows):
        keys = seeds.per_example(seed, tf.constant(some, tf.int32))
        found = run(tf.constant(images[some]), tf.constant(labels[some], tf.int32), keys)
        parts.append(model.ask(found.numpy())[:count])
    answers, labels = np.concatenate(parts), labels[rows]
    return Search(str(attack), (answers.argmax(axis=1) != labels) & np.isfinite(answers).all(axis=1), labels)


def _run(attack, pixels, logits_fn, images, labels, keys):
    problem = Problem(logits_fn, images, labels, keys=keys)
    return attack.solve(problem.rounded(attack.ball) if pixels == "uint8" else problem)


def black_box(ball: balls.Ball) -> Attack | None:
    """A short score-based attack, or None in a ball that it does not know."""
    return attacks.Square(ball, queries=SQUARE_QUERIES) if isinstance(ball, (balls.Linf, balls.L2)) else None


def far(attack: Attack, image_shape) -> Attack | None:
    """The attack with a radius that can make any image gray, or None for a ball without such a radius."""
    if not isinstance(attack.ball, (balls.Linf, balls.L2)):
        return None
    of_l2 = isinstance(attack.ball, balls.L2)
    ball = balls.L2(_GRAY * math.sqrt(math.prod(image_shape))) if of_l2 else balls.Linf(_GRAY)
    if ball.radius <= attack.ball.radius:
        return None
    if steps(attack) == 1:
        return attacks.PGD(ball, steps=FAR_STEPS)
    return _rebuilt(attack, lambda part: _enlarged(part, ball))


def longer(attack: Attack) -> Attack | None:
    """The attack with twice the steps, or None for one without."""
    changed = _rebuilt(attack, lambda part: {"steps": 2 * part.steps} if "steps" in _fields(part) else {})
    return None if changed == attack else changed


def steps(attack: Attack) -> int | None:
    """The steps of an attack or, of a wrapper, of the attack inside; None for one without."""
    own = _fields(attack)
    return steps(own["attack"]) if "attack" in own else own.get("steps")


def _enlarged(part, ball):
    own = _fields(part)
    changes = {"ball": ball} if "ball" in own else {}
    if own.get("step_size"):
        changes["step_size"] = own["step_size"] * ball.radius / part.ball.radius
    return changes


def _rebuilt(attack, change):
    """An attack after a change of its fields, and of those of all attacks inside."""
    inside = {name: _inside(value, change) for name, value in _fields(attack).items() if _holds_attacks(value)}
    return dataclasses.replace(attack, **(inside | change(attack)))


def _inside(value, change):
    return tuple(_rebuilt(part, change) for part in value) if isinstance(value, tuple) else _rebuilt(value, change)


def _holds_attacks(value):
    parts = value if isinstance(value, tuple) else (value,)
    return bool(parts) and all(isinstance(part, Attack) for part in parts)


def _fields(attack) -> dict:
    return {field.name: vars(attack)[field.name] for field in dataclasses.fields(attack)}
