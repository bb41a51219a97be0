"""One comparison: the same attack of all libraries on the same images."""

import importlib
import statistics
from typing import NamedTuple

import numpy as np
import tensorflow as tf

import tfrobust as tfr
from benchmarks.peers import sides, table

_WARM_STEPS = 2  # of a peer's call before the one that is measured
_NEAR = 0.95  # of the way to the boundary


class Problem(NamedTuple):
    """What all sides are given.

    Attributes:
      model: a `sides.Counted`.
      images: float32 array [batch, height, width, channels].
      labels: int32 array [batch].
      predicted: int32 array [batch], the model's answers.
      runners_up: int32 array [batch], its most likely wrong answers.
      near: float32 array like the images: 95 % of the way from them to the boundary.
      classes: how many there are.
    """

    model: sides.Counted
    images: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    runners_up: np.ndarray
    near: np.ndarray
    classes: int

    def predict(self, images):
        """The model's answers to images: int [batch]."""
        return self.model(tf.constant(images)).numpy().argmax(axis=1)


def pose(path, split):
    """The problem of a trained model, a .keras file, and a `tfr.data.Split`."""
    tf.get_logger().setLevel("ERROR")  # no word about functions that are compiled several times, or ART's tapes
    model = sides.Counted(tfr.targets.load_model(path))
    images, labels = split.floats(), split.labels.astype("int32")
    order = model(tf.constant(images)).numpy().argsort(axis=1).astype("int32")
    runners_up = np.where(order[:, -1] == labels, order[:, -2], order[:, -1])
    deepfool = tfr.attacks.parse("deepfool()")
    beyond = tf.function(lambda images, labels: deepfool(model, images, labels, seed=0))(images, labels).numpy()
    near = images + _NEAR * (beyond - images)
    return Problem(model, images, labels, order[:, -1], runners_up, near, split.classes)


def load(name, problem):
    """A peer's attacks: (those that take too long for a batch, name -> function (steps, images, labels) -> images)."""
    np.random.seed(0)
    tf.random.set_seed(0)  # only here: it empties TensorFlow's cache of compiled kernels, which all sides would pay for
    module = importlib.import_module(f"benchmarks.peers.with_{name}")
    shape = problem.images.shape[1:]
    compiled = tf.function(problem.model, input_signature=[tf.TensorSpec([None, *shape])])
    return module.FEW, module.attacks(compiled, shape, problem.classes)


def run(name, comparison, problem, peers, steps, rounds, few):
    """Measures all sides.

    Args:
      name: of the attack.
      comparison: what of it is compared.
      problem: as said.
      peers: name -> what `load` returned.
      steps: of the attack.
      rounds: how often everything is measured; a side of tfrobust's is compiled as often.
      few: images for the peers that are not given all.

    Returns:
      dict of JSON values.
    """
    goals = problem.runners_up if comparison.targeted else problem.labels
    text = comparison.attack.format(steps=steps, values=np.prod(problem.images.shape[1:]))
    attack = tfr.attacks.parse(text)
    ours, functions = _our_side(attack, problem, goals, comparison.targeted, rounds)
    floor = [sides.bare(problem.model, problem.images, problem.labels, attack.needs) for _ in range(rounds)]
    everyone, failed = [ours, sides.Side("floor", floor, len(goals))], {}
    for peer, (slow_ones, attacks) in peers.items():
        if name in attacks:
            images = min(few, len(goals)) if name in slow_ones else len(goals)
            try:
                everyone.append(_peers_side(peer, attacks[name], problem.images[:images], goals[:images], steps))
            except Exception as error:  # whatever a peer fails with is its result
                failed[peer] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        else:
            failed[peer] = "has no such attack"
    sides.measure(everyone, problem.model, rounds)
    return {
        "attack": text,
        "norm": comparison.norm,
        "targeted": comparison.targeted,
        **_evaluate(comparison, problem, goals, everyone),
        "failed": failed,
        "half": _half(ours, functions, problem, goals, comparison.targeted),
        "traces": max(function.experimental_get_tracing_count() for function in functions),
    }


def done_labels(problem, targeted):
    """Labels with which every image is broken beforehand."""
    return problem.predicted if targeted else (problem.predicted + 1) % problem.classes


def _our_side(attack, problem, goals, targeted, copies):
    """tfrobust as a `Side`, and its compiled functions (images, labels) -> adversarial images."""
    images, labels = tf.constant(problem.images), tf.constant(goals)
    done = tf.constant(done_labels(problem, targeted))
    functions, seconds = zip(*[sides.compiled(attack, problem.model, images, done) for _ in range(copies)])
    runs = [lambda function=function: function(images, labels).numpy() for function in functions]
    return sides.Side("tfrobust", runs, len(goals), statistics.median(seconds)), functions


def _peers_side(name, attack, images, labels, steps):
    """A peer as a `Side`, warmed up."""
    seconds, _ = sides.cpu_seconds(lambda: attack(_WARM_STEPS, images, labels))
    return sides.Side(name, [lambda: attack(steps, images, labels)], len(images), seconds)


def _evaluate(comparison, problem, goals, everyone):
    """The rows of the table, and which aims hold."""
    norm = tfr.attacks.spec.BALLS[comparison.norm]
    floor = next(side for side in everyone if side.name == "floor")
    image_seconds = statistics.median(floor.seconds) / floor.seen
    rows = [
        table.row(side, problem.images, goals, problem.predict, norm, comparison.targeted)
        for side in everyone
        if side is not floor
    ]
    for row in rows:
        row["times_floor"] = row["seconds"] / (row["queries"] * row["images"] * image_seconds)
        row["times_size"] = table.relate(rows[0], row)
    aims = table.aims(comparison, rows[0], rows[1:])
    arrays = ("moved", "sizes")
    return {"sides": [{key: row[key] for key in row if key not in arrays} for row in rows], "aims": aims}


def _half(ours, functions, problem, goals, targeted):
    """The share of the time that is left when half of the batch is broken beforehand, or nearly so."""
    first = np.arange(len(goals)) < len(goals) // 2
    broken = np.where(first, done_labels(problem, targeted), goals)
    near = np.where(first[:, None, None, None], problem.near, problem.images)
    batches = {"broken": (problem.images, broken), "near": (near, goals)}
    timed = [
        sides.Side(name, [lambda f=f, batch=batch: f(*map(tf.constant, batch)).numpy() for f in functions], len(goals))
        for name, batch in batches.items()
    ]
    sides.measure(timed, problem.model, len(ours.seconds))
    full = statistics.median(ours.seconds)
    return {side.name: statistics.median(side.seconds) / full for side in timed}
