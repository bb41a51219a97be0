"""Makes adversarial images: an attack bound to the model that it runs on, compiled once, and counted."""

import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tqdm

from tfrobust import seeds
from tfrobust.attacks import Attack
from tfrobust.evaluation import batches
from tfrobust.evaluation.batches import FinishedBatches
from tfrobust.evaluation.config import EvaluationConfig
from tfrobust.evaluation.predictor import Predictor
from tfrobust.evaluation.prepare import Examples
from tfrobust.targets import Target


class AttackRunner:
    """An attack bound to the model that it runs on, which a target names: itself or its surrogate.

    Attributes:
      name: the attack's text, as it was asked for.
      attack: the attack.
      source: the surrogate's name if the attack runs on one, else None.

    Raises:
      InputError: for an attack that needs more than the target allows.
    """

    def __init__(self, name: str, attack: Attack, target: Target):
        self.name, self.attack = name, attack
        victim = target.attacked_by(attack)
        self.source = None if target.allows(attack) else victim.name
        self._queries, self._backward_passes = _counter(), _counter()

        @tf.custom_gradient
        def counted(images):
            """The images; whoever differentiates through them is counted."""

            def gradient(upstream):
                self._backward_passes.assign_add(tf.shape(upstream, out_type=tf.int64)[0])
                return upstream

            return tf.identity(images), gradient

        def logits_fn(images):
            self._queries.assign_add(tf.shape(images, out_type=tf.int64)[0])
            return victim.logits_fn(counted(images))

        def run(images, labels, keys):
            return attack(logits_fn, images, labels, seed=keys)

        self._run = _on_all_devices(run) if victim.in_graph else run

    def run(self, images: np.ndarray, labels: np.ndarray, keys: tf.Tensor) -> dict[str, np.ndarray]:
        """The adversarial images of one batch, and its totals: queries, backward passes and seconds."""
        before = self._totals()
        adversarial = self._run(tf.constant(images), tf.constant(labels), keys).numpy()
        return {"adversarial": adversarial, "totals": self._totals() - before}

    def _totals(self):
        return np.array([int(self._queries.numpy()), int(self._backward_passes.numpy()), time.monotonic()])


class Crafted(NamedTuple):
    """What an attack made of all examples.

    Attributes:
      adversarial: float32 [examples, ...]; the clean image where it was not attacked.
      predictions: int [examples], the target's at `adversarial`; -1 where it was not attacked.
      queries, backward_passes: forward and backward passes through the model per attacked example, None for none.
      seconds: wall time of the attack, compilation included.
    """

    adversarial: np.ndarray
    predictions: np.ndarray
    queries: float | None
    backward_passes: float | None
    seconds: float


def craft(
    runner: AttackRunner,
    predictor: Predictor,
    examples: Examples,
    config: EvaluationConfig,
    finished: FinishedBatches,
) -> Crafted:
    """Attacks the examples batch by batch and shows how many of them still stand."""
    images, labels, _ = examples
    attacked = np.flatnonzero(examples.attacked)
    adversarial, predictions = images.copy(), np.where(examples.attacked, labels, -1)
    totals, robust = np.zeros(3), len(attacked)
    with tqdm.tqdm(total=len(attacked), desc=runner.name, unit="image", disable=not config.progress) as bar:
        for padded, count in batches.padded(predictor.batch_size, attacked):
            batch = (images[padded], labels[padded].astype("int32"), seeds.per_example(config.seed, padded))
            made = finished.get(int(padded[0]), lambda: runner.run(*batch))  # noqa: B023, called at once
            totals += made["totals"]
            rows = padded[:count]
            adversarial[rows] = made["adversarial"][:count]
            predictions[rows] = predictor.predictions(made["adversarial"])[:count]
            robust -= int((predictions[rows] != labels[rows]).sum())
            bar.update(count)
            bar.set_postfix(robust=f"{robust / len(images):.2%}")
    queries, backward_passes, seconds = totals.tolist()
    processed = -(-len(attacked) // predictor.batch_size) * predictor.batch_size  # the padding is attacked, too
    per_example = [count / processed if processed else None for count in (queries, backward_passes)]
    return Crafted(adversarial, predictions, *per_example, seconds)


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
