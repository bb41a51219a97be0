"""The model as all sides see it, tfrobust's side of a comparison, and what is measured of a side."""

import dataclasses
import time

import numpy as np
import tensorflow as tf

import tfrobust as tfr

BARE = 40  # evaluations in a row, of which one costs a fortieth


class Counted:
    """A model that counts the images that it is shown.

    Attributes:
      seen: how many, an int64 variable.
    """

    def __init__(self, model):
        self.model = model
        self.seen = tf.Variable(0, dtype=tf.int64, trainable=False)

    def __call__(self, images):
        self.seen.assign_add(tf.shape(images, out_type=tf.int64)[0])
        return self.model(images, training=False)


@dataclasses.dataclass
class Side:
    """One library, or the floor, in one comparison.

    Attributes:
      name: of the library.
      runs: functions without arguments that do the same -> adversarial images. Rounds take them in turn: one and the
        same graph, compiled twice, can differ by a quarter in speed on a CPU.
      images: how many are attacked, from the first on.
      compile_seconds: what a first call costs more than the next.
      seconds: of each round.
      seen: images that the model was shown in a round.
      adversarial: what the last round returned.
    """

    name: str
    runs: list
    images: int
    compile_seconds: float = 0.0
    seconds: list = dataclasses.field(default_factory=list)
    seen: int = 0
    adversarial: np.ndarray | None = None


def cpu_seconds(function):
    """The processor time of a call and what it returns: on one core, what the clock of an idle machine shows."""
    started = time.process_time()
    result = function()
    return time.process_time() - started, result


def measure(sides, model, rounds):
    """Runs every side once per round, in turn, so that a noisy machine disturbs all alike.

    Args:
      sides: several `Side`s.
      model: the `Counted` that they attack.
      rounds: how often; if more than once, everything is run before that to warm up.
    """
    if rounds > 1:
        for run in [run for side in sides for run in side.runs]:
            run()
    for number in range(rounds):
        for side in sides:
            model.seen.assign(0)
            seconds, side.adversarial = cpu_seconds(side.runs[number % len(side.runs)])
            side.seconds.append(seconds)
            side.seen = int(model.seen)


def compiled(attack, model, images, done_labels):
    """tfrobust's attack, compiled once, as `tfr.evaluate` does.

    Args:
      attack: from `tfr.attacks`.
      model: images -> logits.
      images: float32 [batch, height, width, channels].
      done_labels: int [batch], labels with which all images are broken before the attack begins.

    Returns:
      (a tf.function (images, labels) -> adversarial images, seconds that the first call costs more than the second).
    """

    @tf.function(autograph=False)
    def run(images, labels):
        return attack(model, images, labels, seed=0)

    first, _ = cpu_seconds(lambda: run(images, done_labels).numpy())
    second, _ = cpu_seconds(lambda: run(images, done_labels).numpy())
    return run, first - second


def bare(model, images, labels, needs):
    """The floor: `BARE` evaluations, each of an input that depends on the one before.

    Args:
      model: images -> logits.
      images, labels: a batch.
      needs: the `Access` of the attack: white-box, else forward passes will do.

    Returns:
      A function without arguments.
    """

    def gradient(x):
        return tfr.attacks.Problem(model, images, labels).value_and_gradient(tfr.objectives.cross_entropy, x)[1]

    def forward(x):
        return tf.reduce_max(model(x))

    evaluate = gradient if needs is tfr.attacks.Access.WHITE_BOX else forward

    @tf.function
    def run(x):
        for _ in tf.range(BARE):
            x += 0.0 * evaluate(x)
        return x

    run(images)
    return lambda: run(images).numpy()
