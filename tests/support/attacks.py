"""One table of attacks, and one case on which all of them run: what is true of every attack is tested from here.

A new attack is added to `BOUNDED`, `MINIMAL` or `TRANSFORMING`, and that is all.
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
PATCH = "patch.npy"  # of `adversarial_patch`, likewise
# The settings leave about half of the examples unbroken, so that a verdict can change.
BOUNDED = [
    "fgsm(linf(0.05))",
    "bim(l2(0.8), steps=4)",
    "pgd(linf(0.05), steps=4, restarts=2)",
    "pgd(l1(5), steps=4)",
    "adam_pgd(linf(0.05), steps=4)",
    "mi_fgsm(linf(0.05), steps=4)",
    "apgd(linf(0.05), steps=5)",
    "apgd(l2(0.7), steps=5, objective=dlr, restarts=2)",
    "apgd(l1(5), steps=8)",
    "apgd_targeted(linf(0.04), steps=3)",
    "fab(l1(5), steps=5, targets=3)",
    "square(linf(0.18), queries=60)",
    "square(l1(25), queries=60)",
    "sparse_rs(l0(12), queries=40)",
    "one_pixel(l0(20), population=20, steps=6)",
    "spsa(linf(0.1), steps=5, samples=32, learning_rate=0.1)",
    f"restricted(pgd(linf(0.08), steps=4), {PIXELS!r})",
    "expectation(pgd(linf(0.05), steps=3), samples=2)",
    "restarts(pgd(linf(0.05), steps=3), restarts=2)",
    "pruned(apgd(linf(0.05), steps=6), probe=apgd(linf(0.05), steps=2, objective=dlr), within=0.3)",
    "budget(square(linf(0.18), queries=100), queries=60)",
    "surviving(pgd(linf(0.05), steps=4), jpeg=75)",
    "targeted(pgd(linf(0.08), steps=4), goal=random)",
    "cascade(linf(0.05), (apgd(linf(0.05), steps=3), square(linf(0.05), queries=10)))",
]
MINIMAL = [  # those that look for the smallest perturbation
    "deepfool(linf)",
    "fab(l2, steps=5)",
    "carlini_wagner(searches=3, steps=60, learning_rate=0.15, initial_const=1.0)",
    "ddn(steps=20)",
    "fmn(l1, steps=20)",
    "pdpgd(l1, steps=40)",
    "ead(searches=5, steps=40, step_size=0.1, initial_const=0.1)",
    "sigma_zero(steps=40)",
    "boundary(steps=50)",
    "hop_skip_jump(steps=2, samples=20)",
    "hop_skip_jump(linf, steps=2, samples=20)",
    "jsma(gamma=0.2)",
    "restarts(deepfool(), restarts=2)",
]
TRANSFORMING = [  # those whose limits no norm measures
    "spatial(rotation=20, translation=2, samples=6)",
    f"adversarial_patch({PATCH!r}, samples=6)",
]
ATTACKS = [*BOUNDED, *MINIMAL, *TRANSFORMING]
KINDS = ("natural", "black and white", "with gray pixels", "corners of the box")
# On color images of all kinds, with settings that break nearly all: each class of attacks once.
ON_COLORS = [
    "pgd(linf(0.3), steps=5)",
    "apgd(l2(4), steps=6)",
    "apgd(l1(30), steps=10)",
    "apgd_targeted(linf(0.3), steps=6)",
    "fab(linf(0.4), steps=6, targets=2)",
    "square(linf(0.5), queries=150)",
    "square(l2(6), queries=60)",
    "sparse_rs(l0(60), queries=60)",
    "one_pixel(l0(60), population=20, steps=6)",
    "spsa(linf(0.4), steps=4, samples=32, learning_rate=0.2)",
    "deepfool()",
    "fab(l2, steps=6)",
    "carlini_wagner(searches=4, steps=80, learning_rate=0.15, initial_const=1.0)",
    "ddn(steps=20)",
    "fmn(l0, steps=40)",
    "pdpgd(l0, steps=80)",
    "ead(searches=5, steps=40, step_size=0.1, initial_const=0.1)",
    "sigma_zero(steps=40)",
    "boundary(steps=30)",
    "hop_skip_jump(linf, steps=2, samples=20)",
    "jsma(gamma=0.5)",
    "spatial(rotation=180, translation=5)",
]
LONG = (
    "square(",
    "sparse_rs(",
    "carlini_wagner(",
    "jsma(",
)  # of so many steps that compiling takes less than running them eagerly
DETERMINISTIC = (
    "fgsm(",
    "bim(",
    "deepfool(",
    "carlini_wagner(",
    "ddn(",
    "fmn(",
    "pdpgd(",
    "ead(",
    "sigma_zero(",
    "jsma(",
    "fab(",
)


def every(texts):
    """Parametrizes a test by attack."""
    return pytest.mark.parametrize("text", list(texts))


def names(texts=ATTACKS):
    """The attacks and wrappers of the table of `spec` that occur in these texts."""
    return {name for text in texts for name in re.findall(r"\w+(?=\()", text)} & set(spec.ATTACKS)


def of_all_kinds(images, seed=0):
    """Images of the same things, of each kind: a dict of float32 arrays like the images."""
    random = np.random.default_rng(seed)
    level = images.mean(axis=(1, 2, 3), keepdims=True)
    black_and_white = np.repeat(images.mean(axis=3, keepdims=True) > level, images.shape[3], axis=3).astype("float32")
    gray = random.random([*images.shape[:3], 1]) < 0.05
    some_gray = np.where(gray, random.uniform(0.1, 0.9, gray.shape), black_and_white).astype("float32")
    return dict(zip(KINDS, (images, black_and_white, some_gray, (images > level).astype("float32"))))


class ColorCase:
    """A small color network with batch norm and images of 12x10x3 of four kinds that it classifies correctly.

    Its five classes are colored patterns of large waves, in noise. Each attack runs once, on all kinds in one batch.
    """

    EACH = 12  # of a kind

    def __init__(self):
        keras.utils.set_random_seed(0)
        random = np.random.default_rng(0)
        waves = keras.ops.image.resize(random.normal(size=(5, 4, 3, 3)), (12, 10), interpolation="bicubic")
        labels = np.arange(1500, dtype="int32") % 5
        noise = random.normal(size=(1500, 12, 10, 3))
        images = np.clip(0.5 + 0.15 * np.asarray(waves)[labels] + 0.1 * noise, 0, 1).astype("float32")
        kinds = of_all_kinds(images)
        network = keras.Sequential(
            [
                keras.Input([12, 10, 3]),
                keras.layers.Conv2D(8, 3),
                keras.layers.BatchNormalization(momentum=0.9),
                keras.layers.Activation("relu"),
                keras.layers.Conv2D(8, 3, strides=2),
                keras.layers.BatchNormalization(momentum=0.9),
                keras.layers.Activation("relu"),
                keras.layers.Flatten(),
                keras.layers.Dense(5),
            ]
        )
        network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        train = np.concatenate([kind[300:] for kind in kinds.values()])
        network.fit(train, np.tile(labels[300:], 4), batch_size=64, epochs=3, verbose=0)
        self.target = targets.as_target(network)
        chosen = [self._correct(kind[:300], labels[:300]) for kind in kinds.values()]
        self.images, self.labels = (np.concatenate(parts) for parts in zip(*chosen))
        self.adversarial = functools.cache(self._adversarial)

    def _correct(self, images, labels):
        rows = np.flatnonzero(np.argmax(self.target.logits(images), axis=1) == labels)[: self.EACH]
        assert len(rows) == self.EACH
        return images[rows], labels[rows]

    def _adversarial(self, text):
        attack = attacks.parse(text)
        run = tf.function(attack, autograph=False) if text.startswith(LONG) else attack
        return run(self.target.logits, self.images, self.labels, seed=3).numpy()

    def broken(self, text):
        """The share of each kind that an attack breaks: float array [kinds]."""
        broken = np.argmax(self.target.logits(self.adversarial(text)), axis=1) != self.labels
        return broken.reshape(len(KINDS), self.EACH).mean(axis=1)


class Case:
    """A small network with moving statistics, trained on digits of 28x24, and test images that it classifies correctly.

    It computes in float64: a processor may round the last images of a batch otherwise than those before, and what is left
    of that in float32 is nothing. Each attack is compiled once, for batches of any size.
    """

    def __init__(self, folder):
        keras.utils.set_random_seed(0)
        layers = [
            keras.layers.Conv2D(8, 5, strides=3, activation="relu", dtype="float64"),
            keras.layers.BatchNormalization(dtype="float64"),
            keras.layers.Flatten(dtype="float64"),
            keras.layers.Dense(32, activation="relu", dtype="float64"),
            keras.layers.Dropout(0.1, dtype="float64"),
            keras.layers.Dense(10, dtype="float64"),
        ]
        network = keras.Sequential([keras.Input([28, 24, 1]), *layers])
        (train, labels), (test, truth) = (
            (split.floats()[:, :, 2:26], split.labels) for split in (data.load("digits", s) for s in ("train", "test"))
        )
        network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        network.fit(train, labels, batch_size=32, epochs=5, verbose=0)
        correct = network.predict(test, verbose=0).argmax(axis=1) == truth
        self.images, self.labels = test[correct][:EXAMPLES], truth[correct][:EXAMPLES].astype("int32")
        self.network, self.target = network, targets.as_target(network)
        self.mixed = [self._classified(kind, truth) for kind in list(of_all_kinds(test).values())[1:3]]
        self.pixels = folder / PIXELS
        np.save(self.pixels, np.arange(28 * 24).reshape(28, 24) % 3 > 0)
        disk = np.hypot(*np.meshgrid(np.arange(9) - 4, np.arange(9) - 4)) < 4.5
        self.patch = folder / PATCH
        np.save(self.patch, np.stack([np.random.default_rng(0).random([9, 9]), disk], axis=-1))
        self.traces = {}
        self._compiled = functools.cache(self._compile)
        self.adversarial = functools.cache(self._adversarial)

    def _classified(self, images, labels, count=16):
        """The first so many of other images that are classified correctly, too."""
        rows = np.flatnonzero(np.argmax(self.target.logits(images), axis=1) == labels)[:count]
        return images[rows], labels[rows].astype("int32")

    def on_another_kind(self, text, images, labels):
        """Adversarial images of others than the case's, by the same compiled function."""
        return self._compiled(text)(images, labels, seeds.per_example(3, tf.range(len(images)))).numpy()

    def attack(self, text):
        return attacks.parse(text.replace(PIXELS, str(self.pixels)).replace(PATCH, str(self.patch)))

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
