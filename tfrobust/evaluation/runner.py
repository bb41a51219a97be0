"""Runs attacks on a target and judges them by one rule.

An attack has broken an example if the *recomputed* prediction is wrong and the adversarial image is finite, inside
[0, 1] and inside the attack's ball. Examples that are misclassified to begin with are not attacked; they count as
broken.
"""

import dataclasses
import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tqdm

from tfrobust import attacks as attacks_lib
from tfrobust import balls, data, seeds, targets
from tfrobust.errors import InputError
from tfrobust.evaluation import checks, metrics, report
from tfrobust.evaluation.finished import FinishedBatches


def evaluate(
    model, images, labels, attacks, *, source=None, seed=0, batch_size=100, dataset=None, progress=True, finished=None
):
    """Attacks a model and reports how it holds.

    Args:
      model: a Keras model, a `Target`, or the path of a .keras file, a .tflite file or a SavedModel.
      images: float32 [examples, height, width, channels] in [0, 1].
      labels: int [examples].
      attacks: a list of specifications such as "pgd(linf(8/255))", or of attacks.
      source: the model that an exported one came from. Attacks that need more than the model gives are made on it
        and carried over, and its preprocessing defines rho_2 where the model does not say its own.
      seed: of all random draws; each example folds in its position.
      batch_size: examples at a time; results do not depend on it but for the rounding of kernels. Called in the scope
        of a `tf.distribute` strategy in which the model was made, attacks compute on all of its devices.
      dataset: the data's name, for the report.
      progress: show a progress bar for each attack.
      finished: a folder for the batches that are finished: called again after a stop, it goes on from there.

    Returns:
      An `Evaluation`.

    Raises:
      InputError: for images outside [0, 1] or of the wrong kind, a model that gives probabilities, an attack that
        needs more than the model gives and no `source`.

    Example:
      >>> print(evaluate(model, images, labels, ["fgsm(linf(0.1))", "deepfool()"]).table())
    """
    target = targets.as_target(model)
    source = source if source is None else targets.as_target(source)
    attacks = {str(attack): attacks_lib.parse(attack) if isinstance(attack, str) else attack for attack in attacks}
    images, labels = np.asarray(images), np.asarray(labels)
    data.check_images(images, labels)
    images = images.astype("float32")
    target.check(images)
    crafters = [make_crafter(name, attack, target, source) for name, attack in attacks.items()]
    devices = tf.distribute.get_strategy().num_replicas_in_sync
    judge = Judge(target, -(-min(batch_size, len(images)) // devices) * devices)
    clean = judge.logits(images)
    targets.check_logits(clean, target.name)
    if labels.max() >= clean.shape[1]:
        raise InputError(f"{target.name} has {clean.shape[1]} classes, but there is a label {labels.max()}")
    examples = Examples(images, labels, right=clean.argmax(axis=1) == labels)
    outcomes = [
        run_attack(
            crafter,
            judge,
            examples,
            seed,
            progress,
            FinishedBatches(finished, crafter.name, seed, judge.batch_size, clean, labels),
        )
        for crafter in crafters
    ]
    rows = [_row(outcome, crafter.source, examples) for outcome, crafter in zip(outcomes, crafters)]
    origin = next((one.origin for one in (target, source) if one and one.origin is not None), 0.0)
    for row, attack in zip(rows, attacks.values()):
        if isinstance(attack, attacks_lib.DeepFool) and attack.norm is balls.L2 and target.gives == "gradients":
            rho_2, _ = metrics.deepfool_rho_2(target.logits, images, labels, origin=origin, steps=attack.steps)
            row["rho_2"] = float(rho_2.mean())
    bounded = [outcome for outcome in outcomes if outcome.ball is not None]  # a minimal-norm attack breaks everything
    survivors = np.logical_and.reduce([examples.right, *(~outcome.broken for outcome in bounded)])
    return report.Evaluation(
        report={
            "model": target.name,
            "dataset": dataset,
            "examples": len(images),
            "seed": seed,
            "versions": report.versions(),
            "clean_accuracy": float(examples.right.mean()),
            "attacks": rows,
            "worst_case": {"robust_accuracy": float(survivors.mean()) if bounded else None},
            "warnings": checks.run(target, judge, images, labels, clean, attacks, rows, outcomes),
        },
        images=images,
        labels=labels,
        predictions=clean.argmax(axis=1),
        outcomes=outcomes,
    )


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one attack did.

    Attributes:
      name: the attack as it was asked for.
      ball: what it was confined to, or None.
      adversarial: float32 [examples, ...]; the clean image where it was not attacked.
      predictions: int [examples], recomputed at `adversarial`.
      broken, broken_uint8: bool [examples], by the rule above, before and after rounding to 8 bits.
      invalid: how many adversarial images broke the prediction but were outside the ball or [0, 1], or not finite.
      queries, backward_passes: forward and backward passes through the model per attacked example.
      seconds: wall time of the attack, compilation included.
    """

    name: str
    ball: balls.Ball | None
    adversarial: np.ndarray
    predictions: np.ndarray
    broken: np.ndarray
    broken_uint8: np.ndarray
    invalid: int
    queries: float | None
    backward_passes: float | None
    seconds: float


class Examples(NamedTuple):
    """What is attacked, and bool [examples]: whether the clean image is classified correctly."""

    images: np.ndarray
    labels: np.ndarray
    right: np.ndarray


class Judge:
    """Recomputes predictions in batches of one fixed size, so that nothing compiles twice."""

    def __init__(self, target, batch_size):
        self._predict, self.batch_size = target.predictor(), batch_size

    def logits(self, images):
        return np.concatenate([self._predict(batch)[:count] for batch, count in _padded(self.batch_size, images)])

    def predictions(self, images):
        return self.logits(images).argmax(axis=1)


def _padded(batch_size, *arrays):
    """Slices of one size; the last is filled up with its first row. Yields (slice of each array..., real rows)."""
    for start in range(0, len(arrays[0]), batch_size):
        slices = [array[start : start + batch_size] for array in arrays]
        count = len(slices[0])
        fill = [0] * (batch_size - count)
        yield *(np.concatenate([rows, rows[fill]]) if fill else rows for rows in slices), count


class _Crafter:
    """An attack bound to the model it differentiates, compiled once. `source` names that model if it is another one."""

    def __init__(self, name, attack, victim, source=None):
        self.name, self.ball, self.source = name, getattr(attack, "ball", None), source
        self.queries, self.backward_passes = _counter(), _counter()

        @tf.custom_gradient
        def counted(images):
            def gradient(upstream):
                self.backward_passes.assign_add(tf.shape(upstream, out_type=tf.int64)[0])
                return upstream

            return tf.identity(images), gradient

        def logits_fn(images):
            self.queries.assign_add(tf.shape(images, out_type=tf.int64)[0])
            return victim.logits(counted(images)) if victim.gives == "gradients" else _ask(victim, images)

        def craft(images, labels, keys):
            return attack(logits_fn, images, labels, seed=keys)

        self._craft = _on_all_devices(craft) if victim.gives == "gradients" else craft

    def run(self, images, labels, keys):
        """The adversarial images of one batch, and its totals: queries, backward passes and seconds."""
        before = np.array([int(self.queries.numpy()), int(self.backward_passes.numpy()), time.monotonic()])
        adversarial = self._craft(tf.constant(images), tf.constant(labels), keys).numpy()
        after = np.array([int(self.queries.numpy()), int(self.backward_passes.numpy()), time.monotonic()])
        return {"adversarial": adversarial, "totals": after - before}


def _ask(victim, images):
    """What something outside TensorFlow answers."""
    return tf.constant(victim.logits(images.numpy()), tf.float32)


def _counter():
    """A number that every device adds to."""
    return tf.Variable(
        0,
        dtype=tf.int64,
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.SUM,
    )


def _on_all_devices(function):
    """A function of a batch, compiled, and computed in equal parts on all devices of the current strategy."""
    strategy = tf.distribute.get_strategy()
    devices = strategy.num_replicas_in_sync
    if devices == 1:
        return tf.function(function, autograph=False)

    @tf.function(autograph=False)
    def compute(parts):
        return strategy.gather(strategy.run(function, args=parts), axis=0)

    def share(array):
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.split(array, devices)[context.replica_id_in_sync_group]
        )

    return lambda *arrays: compute([share(array) for array in arrays])


def make_crafter(name, attack, target, source):
    if target.allows(attack):
        return _Crafter(name, attack, target)
    if source is None:
        raise InputError(
            f"attack {name!r} needs {attack.needs}, but {target.name} gives {target.gives} only: "
            "give a source model to carry it over from"
        )
    if not source.allows(attack):
        raise InputError(f"attack {name!r} needs {attack.needs}, but the source {source.name} gives {source.gives}")
    return _Crafter(name, attack, source, source.name)


def run_attack(crafter, judge, examples, seed, progress, finished):
    """Attacks what is classified correctly, batch by batch, and judges the result: an `Outcome`."""
    images, labels, right = examples
    totals = np.zeros(3)
    adversarial, predictions = images.copy(), np.where(right, labels, -1)
    attacked = np.flatnonzero(right)
    survivors = len(attacked)
    with tqdm.tqdm(total=len(attacked), desc=crafter.name, unit="image", disable=not progress) as bar:
        for padded, count in _padded(judge.batch_size, attacked):
            arrays = (images[padded], labels[padded].astype("int32"), seeds.per_example(seed, padded))
            made = finished.get(int(padded[0]), lambda: crafter.run(*arrays))  # noqa: B023, called at once
            batch, rows = made["adversarial"], padded[:count]
            totals += made["totals"]
            adversarial[rows] = batch[:count]
            predictions[rows] = judge.predictions(batch)[:count]
            survivors -= int((predictions[rows] != labels[rows]).sum())
            bar.update(count)
            bar.set_postfix(robust=f"{survivors / len(images):.2%}")
    queries, backward_passes, seconds = totals.tolist()
    valid = _valid(adversarial, images, crafter.ball)
    rounded = metrics.round_to_uint8(np.nan_to_num(adversarial), images, crafter.ball)
    rounded[~right] = images[~right]
    processed = -(-len(attacked) // judge.batch_size) * judge.batch_size
    return Outcome(
        name=crafter.name,
        ball=crafter.ball,
        adversarial=adversarial,
        predictions=predictions,
        broken=~right | ((predictions != labels) & valid),
        broken_uint8=~right | (judge.predictions(rounded) != labels),
        invalid=int((right & (predictions != labels) & ~valid).sum()),
        queries=queries / processed if processed else None,
        backward_passes=backward_passes / processed if processed else None,
        seconds=seconds,
    )


def _valid(adversarial, images, ball):
    """Which images are finite, inside [0, 1] and inside the ball."""
    flat = adversarial.reshape(len(adversarial), -1)
    with np.errstate(invalid="ignore"):
        valid = np.isfinite(flat).all(axis=1) & (flat.min(axis=1) >= 0) & (flat.max(axis=1) <= 1)
    return valid if ball is None else valid & metrics.in_ball(adversarial - images, ball)


def _row(outcome, source, examples):
    """One entry of the report's list of attacks. Medians are over the examples that the attack itself broke."""
    hit = outcome.broken & examples.right
    delta = outcome.adversarial[hit] - examples.images[hit]
    return {
        "attack": outcome.name,
        "norm": None if outcome.ball is None else type(outcome.ball).__name__.lower(),
        "radius": None if outcome.ball is None else outcome.ball.radius,
        "robust_accuracy": float((~outcome.broken).mean()),
        "robust_accuracy_uint8": float((~outcome.broken_uint8).mean()),
        "success_rate": float(hit.sum() / examples.right.sum()) if examples.right.any() else None,
        "median_l2": float(np.median(balls.L2.size(delta))) if len(delta) else None,
        "median_linf": float(np.median(balls.Linf.size(delta))) if len(delta) else None,
        "rho_2": None,
        "queries": outcome.queries,
        "backward_passes": outcome.backward_passes,
        "seconds": round(outcome.seconds, 3),
        "source": source,
    }
