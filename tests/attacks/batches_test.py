"""What an example's neighbours in the batch may change, for every attack: nothing of its draws, little of its verdict.

The same seed gives the same adversarial image bit for bit from run to run and in whatever order the examples come.
Across batch sizes kernels round differently, and a search that decides by comparisons may go another way from there:
the verdict has to agree on 99 % of 203 examples. The settings leave about half of them unbroken, and of attacks that
break everything the verdict is whether they did so within the median norm.
"""

import dataclasses
import functools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import attacks, data, seeds, targets
from tfrobust.attacks import parse, spec
from tfrobust.evaluation import runner
from tfrobust.evaluation.finished import FinishedBatches

EXAMPLES = 203  # odd: kernels treat what is left after their last full vector differently
SIZES = (64, 8)  # the last batch is filled up
PIXELS = "pixels.npy"  # of `restricted`, whose file every test run writes
BOUNDED = [
    "fgsm(linf(0.1))",
    "bim(linf(0.08), steps=4)",
    "pgd(linf(0.08), steps=4, restarts=2)",
    "pgd(l2(1.4), steps=4)",
    "mi_fgsm(linf(0.08), steps=4)",
    "apgd(linf(0.08), steps=5)",
    "apgd(l2(1.2), steps=5, objective=dlr, restarts=2)",
    "apgd_targeted(linf(0.08), steps=3)",
    "square(linf(0.18), queries=60)",
    "square(l2(4.5), queries=60)",
    "auto_attack(linf(0.08))",
    "auto_attack(l2(1.2), version=rand)",
    "one_pixel(l0(40), population=20, generations=6)",
    "spsa(linf(0.2), steps=5, samples=32, learning_rate=0.1)",
    f"restricted(pgd(linf(0.15), steps=4), {PIXELS!r})",
    "expectation(pgd(linf(0.08), steps=3), samples=2)",
    "restarts(pgd(linf(0.08), steps=3), times=2)",
    "budget(square(linf(0.18), queries=100), queries=60)",
    "targeted(pgd(linf(0.14), steps=4), goal=random)",
]
MINIMAL = [
    "deepfool(steps=3)",
    "deepfool(linf)",
    "fab(linf, steps=5)",
    "fab(l2, steps=5, targets=9)",
    "carlini_wagner(searches=4, steps=40, learning_rate=0.05, initial_const=1.0)",
    "boundary(steps=50)",
    "hop_skip_jump(steps=2, samples=20)",
    "jsma(gamma=0.2)",
]
ATTACKS = [*BOUNDED, *MINIMAL]

every_attack = pytest.mark.parametrize("text", ATTACKS)


class Case:
    """A small network trained on digits, and test images that it classifies correctly."""

    def __init__(self, folder):
        keras.utils.set_random_seed(0)
        network = keras.Sequential(
            [
                keras.Input([28, 28, 1]),
                keras.layers.Conv2D(8, 5, strides=3, activation="relu"),
                keras.layers.Flatten(),
                keras.layers.Dense(32, activation="relu"),
                keras.layers.Dense(10),
            ]
        )
        train, test = data.load("digits", "train"), data.load("digits", "test")
        network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        network.fit(train.floats(), train.labels, batch_size=32, epochs=5, verbose=0)
        right = network.predict(test.floats(), verbose=0).argmax(axis=1) == test.labels
        self.images, self.labels = test.floats()[right][:EXAMPLES], test.labels[right][:EXAMPLES].astype("int32")
        self.target, self.folder = targets.as_target(network), folder
        np.save(folder / PIXELS, np.arange(28 * 28).reshape(28, 28) % 3 > 0)
        self.crafter = functools.cache(self._crafter)
        self.outcome = functools.cache(self._outcome)

    def attack(self, text):
        return _shortened(parse(text.replace(PIXELS, str(self.folder / PIXELS))))

    def _crafter(self, text):
        return runner.make_crafter(text, self.attack(text), self.target, None)

    def _outcome(self, text, size):
        """The attack on all images, so many at a time, as `evaluate` does it."""
        examples = runner.Examples(self.images, self.labels, np.ones(EXAMPLES, bool))
        judge = runner.Judge(self.target, size)
        return runner.run_attack(self.crafter(text), judge, examples, 3, False, FinishedBatches(None))

    def craft(self, text, rows):
        """Adversarial images of some examples in one batch, each with the seed of its own index."""
        keys = seeds.per_example(3, tf.constant(rows))
        return self.crafter(text).run(self.images[rows], self.labels[rows], keys)["adversarial"]


def _shortened(attack):
    """AutoAttack, of which nothing can be set, with few steps in its parts; anything else as it is."""
    if not isinstance(attack, attacks.Cascade):
        return attack
    few = {"steps": 4, "queries": 40, "samples": 2}

    def cut(part):
        own = {field.name for field in dataclasses.fields(part)}
        part = dataclasses.replace(part, **{name: value for name, value in few.items() if name in own})
        return dataclasses.replace(part, attack=cut(part.attack)) if "attack" in own else part

    return dataclasses.replace(
        attack, attacks=tuple(cut(part) for part in attack.attacks), samples=min(attack.samples, 2)
    )


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "_on_all_devices", _one_graph_for_all_sizes)
        yield Case(tmp_path_factory.mktemp("case"))


def _one_graph_for_all_sizes(function):
    """What the runner compiles, compiled once: three graphs for three batch sizes would take most of the time."""
    images, vector, keys = tf.TensorSpec([None, 28, 28, 1]), tf.TensorSpec([None], tf.int32), [None, 2]
    return tf.function(function, [images, vector, tf.TensorSpec(keys, tf.int32)], autograph=False)


def verdicts(case, text, sizes):
    """Which examples are broken at each batch size; by minimal-norm attacks, within the median norm of the first."""
    outcomes = [case.outcome(text, size) for size in sizes]
    norm = getattr(case.attack(text), "norm", None)
    if norm is None:
        return [outcome.broken for outcome in outcomes]
    norms = [norm.size(outcome.adversarial - case.images).numpy() for outcome in outcomes]
    limit = np.median(norms[0][outcomes[0].broken])
    return [outcome.broken & (found <= limit) for outcome, found in zip(outcomes, norms)]


def test_every_attack_is_here():
    assert {name for text in ATTACKS for name in re.findall(r"\w+(?=\()", text)} >= set(spec.ATTACKS)


@every_attack
def test_the_verdict_does_not_depend_on_the_batch_size(case, text):
    whole, *others = verdicts(case, text, [EXAMPLES, *SIZES])
    assert 10 <= whole.sum() <= 190
    for other in others:
        assert (other == whole).mean() >= 0.99


@every_attack
def test_same_seed_same_images_to_the_bit(case, text):
    np.testing.assert_array_equal(case.craft(text, np.arange(EXAMPLES)), case.outcome(text, EXAMPLES).adversarial)


@every_attack
def test_the_order_of_the_examples_changes_no_bit(case, text):
    order = np.random.default_rng(0).permutation(EXAMPLES)
    np.testing.assert_array_equal(case.craft(text, order), case.outcome(text, EXAMPLES).adversarial[order])
