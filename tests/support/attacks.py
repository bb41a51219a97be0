"""One table of attacks, and one case on which all of them run: what is true of every attack is tested from here.

A new attack is added to `BOUNDED` or `MINIMAL`, and that is all.
"""

import functools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import attacks, data, seeds, targets
from tfrobust.attacks import spec

EXAMPLES = 203  # odd: kernels treat what is left after their last full vector differently
PIXELS = "pixels.npy"  # of `restricted`: `Case` puts the path in its place
# The settings leave about half of the examples unbroken, so that a verdict can change.
BOUNDED = [
    "fgsm(linf(0.05))",
    "fgsm(l2(0.9))",
    "bim(linf(0.05), steps=4)",
    "pgd(linf(0.05), steps=4, restarts=2)",
    "pgd(l2(0.8), steps=4)",
    "adam_pgd(linf(0.05), steps=4)",
    "mi_fgsm(linf(0.05), steps=4)",
    "apgd(linf(0.05), steps=5)",
    "apgd(l2(0.7), steps=5, objective=dlr, restarts=2)",
    "apgd_targeted(linf(0.04), steps=3)",
    "fab(linf(0.04), steps=5, targets=3)",
    "square(linf(0.18), queries=60)",
    "square(l2(4.5), queries=60)",
    "one_pixel(l0(20), population=20, steps=6)",
    "spsa(linf(0.1), steps=5, samples=32, learning_rate=0.1)",
    "spsa(l2(1.6), steps=5, samples=32, learning_rate=0.1)",
    f"restricted(pgd(linf(0.08), steps=4), {PIXELS!r})",
    "expectation(pgd(linf(0.05), steps=3), samples=2)",
    "restarts(pgd(linf(0.05), steps=3), restarts=2)",
    "budget(square(linf(0.18), queries=100), queries=60)",
    "targeted(pgd(linf(0.08), steps=4), goal=random)",
    "cascade(linf(0.05), (apgd(linf(0.05), steps=3), square(linf(0.05), queries=10)))",
]
MINIMAL = [  # those that look for the smallest perturbation
    "deepfool(steps=3)",
    "deepfool(linf)",
    "fab(linf, steps=5)",
    "fab(l2, steps=5, targets=9)",
    "carlini_wagner(searches=4, steps=40, learning_rate=0.05, initial_const=1.0)",
    "boundary(steps=50)",
    "hop_skip_jump(steps=2, samples=20)",
    "hop_skip_jump(linf, steps=2, samples=20)",
    "jsma(gamma=0.2)",
    "restarts(deepfool(), restarts=2)",
]
ATTACKS = [*BOUNDED, *MINIMAL]
DETERMINISTIC = ("fgsm(", "bim(", "deepfool(", "carlini_wagner(", "jsma(", "fab(")


def every(texts):
    """Parametrizes a test by attack."""
    return pytest.mark.parametrize("text", list(texts))


def names(texts=ATTACKS):
    """The attacks and wrappers of the table of `spec` that occur in these texts."""
    return {name for text in texts for name in re.findall(r"\w+(?=\()", text)} & set(spec.ATTACKS)


class Case:
    """A small network with moving statistics, trained on digits of 28x24, and test images that it classifies correctly.

    Each attack is compiled once, for batches of any size.
    """

    def __init__(self, folder):
        keras.utils.set_random_seed(0)
        network = keras.Sequential(
            [
                keras.Input([28, 24, 1]),
                keras.layers.Conv2D(8, 5, strides=3, activation="relu"),
                keras.layers.BatchNormalization(),
                keras.layers.Flatten(),
                keras.layers.Dense(32, activation="relu"),
                keras.layers.Dropout(0.1),
                keras.layers.Dense(10),
            ]
        )
        (train, labels), (test, truth) = (
            (split.floats()[:, :, 2:26], split.labels) for split in (data.load("digits", s) for s in ("train", "test"))
        )
        network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        network.fit(train, labels, batch_size=32, epochs=5, verbose=0)
        correct = network.predict(test, verbose=0).argmax(axis=1) == truth
        self.images, self.labels = test[correct][:EXAMPLES], truth[correct][:EXAMPLES].astype("int32")
        self.network, self.target = network, targets.as_target(network)
        self.pixels = folder / PIXELS
        np.save(self.pixels, np.arange(28 * 24).reshape(28, 24) % 3 > 0)
        self.traces = {}
        self._compiled = functools.cache(self._compile)
        self.adversarial = functools.cache(self._adversarial)

    def attack(self, text):
        return attacks.parse(text.replace(PIXELS, str(self.pixels)))

    def _compile(self, text):
        attack = self.attack(text)

        def craft(images, labels, keys):
            self.traces[text] = self.traces.get(text, 0) + 1
            return attack(self.target.logits, images, labels, seed=keys)

        specifications = [([None, 28, 24, 1], tf.float32), ([None], tf.int32), ([None, 2], tf.int32)]
        return tf.function(craft, [tf.TensorSpec(*one) for one in specifications], autograph=False)

    def run(self, text, rows, seed=3, labels=None):
        """Adversarial images of some examples in one batch, each with the seed of its own index."""
        keys = seeds.per_example(seed, tf.constant(rows))
        labels = self.labels[rows] if labels is None else labels
        return self._compiled(text)(self.images[rows], labels, keys).numpy()

    def run_eagerly(self, attack, rows, seed=3):
        """The same without compiling: any attack, not only one of the table."""
        keys = seeds.per_example(seed, tf.constant(rows))
        return attack(self.target.logits, self.images[rows], self.labels[rows], seed=keys).numpy()

    def _adversarial(self, text, size=EXAMPLES, seed=3):
        """Adversarial images of all examples, so many at a time."""
        batches = [np.arange(start, min(start + size, EXAMPLES)) for start in range(0, EXAMPLES, size)]
        return np.concatenate([self.run(text, rows, seed) for rows in batches])

    def broken(self, adversarial, rows=slice(None)):
        """bool: which of these are misclassified."""
        return np.argmax(self.target.logits(adversarial), axis=1) != self.labels[rows]

    def verdict(self, text, adversarial):
        """What an attack is for: which examples it breaks; a minimal-norm attack, within the median norm of its own."""
        broken = self.broken(adversarial)
        norm = self.attack(text).norm
        if norm is None:
            return broken
        whole = norm.size(self.adversarial(text) - self.images).numpy()
        limit = np.median(whole[self.broken(self.adversarial(text))])
        return broken & (norm.size(adversarial - self.images).numpy() <= limit)
