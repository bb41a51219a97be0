"""The model as all sides see it, which attacks each side has, and what one of them reaches."""

import importlib
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

import tfrobust as tfr
from benchmarks.optimality import search
from tfrobust.evaluation.craft import counting_gradients


class Model:
    """Images -> logits, which counts the images that it is shown, and those of which gradients are taken.

    Attributes:
      forward, backward: how many, int64 variables.
    """

    def __init__(self, network):
        self.network = network
        self.forward, self.backward = (tf.Variable(0, dtype=tf.int64, trainable=False) for _ in range(2))

    def __call__(self, images):
        self.forward.assign_add(tf.shape(images, out_type=tf.int64)[0])
        return self.network(counting_gradients(images, self.backward), training=False)


class Problem(NamedTuple):
    """What all sides are given.

    Attributes:
      model: a `Model`.
      compiled: the same for those who call it from Python: compiled for batches of any size, and counted.
      images: float32 [images, height, width, channels].
      labels: int32 [images].
      classes: how many there are.
    """

    model: Model
    compiled: Callable
    images: np.ndarray
    labels: np.ndarray
    classes: int

    def broken(self, images, labels) -> np.ndarray:
        """bool [images]: valid, and misclassified."""
        valid = ((images >= 0) & (images <= 1)).all(axis=(1, 2, 3))
        return (self.compiled(tf.constant(images)).numpy().argmax(axis=1) != labels) & valid


def pose(path, split) -> Problem:
    """The problem of a trained model, a .keras file, and a `tfr.data.Split`."""
    tf.get_logger().setLevel("ERROR")
    model, signature = Model(tfr.targets.load_model(path)), [tf.TensorSpec([None, *split.images.shape[1:]])]
    network = tf.function(lambda images: model.network(images, training=False), signature, autograph=False)

    def compiled(images):
        # Counted out here: the graph of a compiled function's gradient leaves out what has no effect on it.
        model.forward.assign_add(tf.shape(images, out_type=tf.int64)[0])
        return network(counting_gradients(images, model.backward))

    return Problem(model, compiled, split.floats(), split.labels.astype("int32"), split.classes)


def attacks(side: str, norm: str, problem: Problem, passes: int) -> dict[str, Callable]:
    """Name -> function (images, labels) -> images with small perturbations, of a library in a norm."""
    module = importlib.import_module(f"benchmarks.optimality.with_{side}")
    minimal, bounded = module.attacks(norm, problem, passes)
    ball = tfr.attacks.spec.BALLS[norm]

    def searching(attack):
        def run(images, labels):
            def size(delta):
                return ball.size(tf.constant(delta)).numpy()

            steps = search.schedule(passes)
            return search.smallest(attack, problem.broken, size, images, labels, search.START[norm], steps)

        return run

    return {**minimal, **{name: searching(attack) for name, attack in bounded.items()}}


def measured(side: str, norm: str, name: str, attack: Callable, problem: Problem) -> dict:
    """A JSON value: what an attack reached, and by how many passes an image. It attacks what is classified correctly."""
    images, labels = problem.images, problem.labels
    open_rows = np.flatnonzero(~problem.broken(images, labels))
    problem.model.forward.assign(0)
    problem.model.backward.assign(0)
    started, distances, failed = time.process_time(), np.zeros(len(images)), None
    distances[open_rows] = np.inf
    try:
        made = np.clip(np.asarray(attack(images[open_rows], labels[open_rows]), "float32"), 0.0, 1.0)
    except Exception as error:  # whatever a peer fails with is its result
        failed = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    else:
        forward, backward = int(problem.model.forward), int(problem.model.backward)
        hit = problem.broken(made, labels[open_rows])
        sizes = tfr.attacks.spec.BALLS[norm].size(tf.constant(made - images[open_rows])).numpy()
        distances[open_rows[hit]] = sizes[hit]
    return {
        "side": side,
        "norm": norm,
        "attack": name,
        "forward": None if failed else forward / len(open_rows),
        "backward": None if failed else backward / len(open_rows),
        "seconds": time.process_time() - started,
        "distances": [float(distance) if np.isfinite(distance) else None for distance in distances],
        "failed": failed,
    }
