"""Two training steps and an evaluation on one device and on two, as a process of its own, before TensorFlow starts.

    python -m tests.support.replicas

prints, as its last line, a JSON object: of each way of training the largest relative differences of what `fit` and
`evaluate` report ("logs"), and of how far the steps moved the weights ("steps"); and of an evaluation, what it says on
each number of devices and the shares of a batch that the model saw there.
"""

import json

import keras
import numpy as np
import tensorflow as tf

from tfrobust import data, evaluate, models, targets
from tfrobust.defenses import (
    MART,
    TRADES,
    AdversarialTraining,
    DeepDefense,
    FreeAdversarialTraining,
    IndependentMembers,
    IntervalBoundTraining,
    NoiseTraining,
    Parseval,
    ensemble,
)
from tfrobust.layers import Standardize

STEPS = 2
ATTACKS = ("pgd(linf(0.02), steps=2)", "square(linf(0.05), queries=5)")
DEFENSES = {
    "deep_defense": lambda: DeepDefense(network(), steps=3),
    "adversarial_training": lambda: AdversarialTraining(network(), "pgd(linf(0.1), steps=2)"),
    "deep_defense_of_a_layer": lambda: DeepDefense(
        network(), steps=2, attack="fgsm(linf(0.1))", regularized_layers=["dense"]
    ),
    "trades": lambda: TRADES(network(), "pgd(linf(0.1), steps=2)"),
    "mart": lambda: MART(network(), "pgd(linf(0.1), steps=2)"),
    "free": lambda: FreeAdversarialTraining(network(), "linf(0.1)", replays=2),
    "parseval": lambda: Parseval(network(), beta=0.01),
    "noise": lambda: NoiseTraining(network(), 0.2),
    "interval_bounds": lambda: IntervalBoundTraining(network(), 0.1, warm_up=0, ramp=1),
    "half_clean": lambda: AdversarialTraining(network(), "fgsm(linf(0.1))", clean_share=0.5),
    "quantization_aware": lambda: AdversarialTraining(quantization_aware(), "fgsm(linf(0.1))"),
    "ensemble": lambda: IndependentMembers(ensemble([network(), network()])),
}


def network(dtype="float64"):
    """Few layers, since nearly all of the time is tracing; in float64, so that rounding decides no gradient's sign."""
    layers = [
        Standardize(0.3, 1.0, dtype=dtype),
        keras.layers.Conv2D(4, 5, strides=3, activation="relu", dtype=dtype),
        keras.layers.Flatten(dtype=dtype),
        keras.layers.Dense(10, name="dense", dtype=dtype),
    ]
    return keras.Sequential([keras.Input((28, 28, 1)), *layers], name="network")


def quantization_aware():
    return models.quantization_aware(network("float32"), data.load("digits", "train").floats(slice(64)))


def trained(defense, strategy, images, labels):
    """What is reported, name -> value, and each weight before and after."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = DEFENSES[defense]()
        model.compile(
            keras.optimizers.SGD(0.01, momentum=0.9),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            run_eagerly=strategy.num_replicas_in_sync == 1,  # two steps take less than tracing one
        )
    before = model.network.get_weights()
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(len(images) // STEPS)
    logs = {f"fit {name}": value for name, (value,) in model.fit(batches, verbose=0).history.items()}
    return {**logs, **model.evaluate(batches, verbose=0, return_dict=True)}, before, model.network.get_weights()


def evaluated(strategy, images):
    """An evaluation with all its checks, in batches of 8: its report, and (device, images) of each trace of the model."""
    shares = set()

    class Noted(targets.KerasTarget):
        def logits(self, images):
            context = tf.distribute.get_replica_context()
            device = -1 if context is None else int(tf.get_static_value(context.replica_id_in_sync_group))
            shares.add((device, images.shape[0] or 0))
            return super().logits(images)

    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = network()
        labels = model(images).numpy().argmax(axis=1)
        report = evaluate(Noted(model), images, labels, ATTACKS, batch_size=8, progress=False).report
    fields = ("robust_accuracy", "robust_accuracy_uint8", "median_l2", "rho_2", "queries", "backward_passes")
    return {
        "attacks": [[row[name] for name in fields] for row in report["attacks"]],
        "warnings": [warning["code"] for warning in report["warnings"]],
        "shares": sorted(shares),
    }


def largest_difference(found, expected):
    """Of pairs of arrays, relative to the norm of the expected one; 0 of what is equal, such as weights that stay."""
    pairs = [(np.linalg.norm(one - other), np.linalg.norm(other)) for one, other in zip(found, expected)]
    return max((float(difference / size) for difference, size in pairs if difference), default=0.0)


def main():
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    train = data.load("digits", "train").take(64)
    mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])  # one for all: a second one would wait for the first
    differences = {}
    for defense in DEFENSES:
        (logs, start, weights), (their_logs, their_start, their_weights) = (
            trained(defense, strategy, train.floats(), train.labels)
            for strategy in (tf.distribute.get_strategy(), mirrored)
        )
        differences[defense] = {
            "logs": largest_difference([their_logs[name] for name in logs], logs.values()),
            "steps": largest_difference(map(np.subtract, their_weights, their_start), map(np.subtract, weights, start)),
        }
    evaluations = [evaluated(strategy, train.floats()[:27]) for strategy in (tf.distribute.get_strategy(), mirrored)]
    print(json.dumps({**differences, "evaluations": evaluations}))


if __name__ == "__main__":
    main()
