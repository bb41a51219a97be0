"""One table: every attack has every property that attacks share. A new attack is added to
`BOUNDED` or `MINIMAL`, and that is all.
"""

import re

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import seeds
from tfrobust.attacks import parse
from tfrobust.evaluation import metrics

BOUNDED = [
    "fgsm(linf(0.05))",
    "fgsm(l2(0.5))",
    "bim(linf(0.05), steps=5)",
    "pgd(linf(0.05), steps=5)",
    "pgd(l2(0.5), steps=5)",
    "pgd(linf(0.05), steps=3, restarts=3)",
    "mi_fgsm(linf(0.05), steps=5)",
    "restarts(pgd(linf(0.05), steps=3), times=3)",
    "expectation(pgd(linf(0.05), steps=3), samples=2)",
    "targeted(pgd(linf(0.2), steps=10), goal=random)",
    "apgd(linf(0.05), steps=10)",
    "apgd(l2(0.5), steps=10, restarts=2, objective=dlr)",
    "apgd_targeted(linf(0.05), steps=10)",
    "square(linf(0.05), queries=100)",
    "square(l2(0.5), queries=100)",
    "budget(square(linf(0.2), queries=100), 40)",
    "auto_attack(linf(0.2))",
    "auto_attack(l2(0.5), version=rand)",
    "one_pixel(l0(3), population=30, generations=5)",
    "spsa(linf(0.05), steps=5, samples=64, learning_rate=0.2)",
    "spsa(l2(0.5), steps=5, samples=64, learning_rate=0.05)",
]
MINIMAL = [  # those that look for the smallest perturbation
    "deepfool()",
    "deepfool(linf)",
    "fab(linf, steps=10)",
    "fab(l2, steps=10)",
    "fab(l2, steps=10, targets=9)",
    "carlini_wagner(searches=5, steps=60, learning_rate=0.05)",
    "boundary(steps=60)",
    "hop_skip_jump(steps=3, samples=20)",
    "hop_skip_jump(linf, steps=3, samples=20)",
    "jsma(gamma=1)",
    "restarts(deepfool(), times=2)",
]
ATTACKS = [*BOUNDED, *MINIMAL]
DETERMINISTIC = ("fgsm(", "bim(", "deepfool(", "fab(", "carlini_wagner(", "jsma(")
ITERATIVE = [text for text in BOUNDED if "steps" in text]
LINF = [text for text in BOUNDED if "linf" in text]

every_attack = pytest.mark.parametrize("text", ATTACKS)


class Case:
    """A smooth network, twelve images that it classifies as their labels, and counts of what is called."""

    def __init__(self):
        self.network = classifiers.smooth_network()
        self.images = classifiers.random_images(12)
        self.labels = np.argmax(self.network(self.images), axis=1).astype("int32")
        self.traces = 0
        self._compiled = {}

    def logits_fn(self, images):
        return self.network(images, training=False)

    def run(self, text, rows=slice(None), seed=3, eager=False):
        """Attacks some of the images, each with the seed of its own index."""
        attack = parse(text)
        indices = np.arange(12)[rows]

        def craft(images, labels, keys):
            self.traces += 1
            return attack(self.logits_fn, images, labels, seed=keys)

        if not eager:
            craft = self._compiled.setdefault(text, tf.function(craft))
        keys = seeds.per_example(seed, tf.constant(indices))
        return craft(tf.constant(self.images[indices]), tf.constant(self.labels[indices]), keys).numpy()

    def broken(self, adversarial, labels=None):
        return np.argmax(self.network(adversarial), axis=1) != (self.labels if labels is None else labels)


@pytest.fixture(scope="module")
def case():
    return Case()


@every_attack
def test_keeps_shape_and_dtype_and_range(case, text):
    adversarial = case.run(text)
    assert adversarial.shape == case.images.shape and adversarial.dtype == np.float32
    assert np.isfinite(adversarial).all() and adversarial.min() >= 0 and adversarial.max() <= 1


@pytest.mark.parametrize("text", BOUNDED)
def test_stays_in_its_ball(case, text):
    assert metrics.in_ball(case.run(text) - case.images, parse(text).ball).all()


@every_attack
def test_same_seed_same_images_to_the_bit(case, text):
    np.testing.assert_array_equal(case.run(text), case.run(text))


@every_attack
def test_does_not_depend_on_order(case, text):
    order = np.random.default_rng(0).permutation(12)
    np.testing.assert_allclose(case.run(text, order), case.run(text)[order], atol=1e-5)


@every_attack
@pytest.mark.parametrize("size", [1, 5])
def test_does_not_depend_on_the_batch_size(case, text, size):
    parts = [case.run(text, slice(start, start + size)) for start in range(0, 12, size)]
    np.testing.assert_allclose(np.concatenate(parts), case.run(text), atol=1e-4)


@every_attack
def test_eager_equals_compiled(case, text):
    np.testing.assert_allclose(case.run(text, eager=True), case.run(text), atol=1e-4)


@every_attack
def test_compiles_once_per_shape(text):
    case = Case()
    for seed in range(3):
        case.run(text, seed=seed)
    assert case.traces == 1


@every_attack
def test_leaves_the_model_untouched(case, text):
    before = [weight.numpy() for weight in case.network.weights]
    case.run(text)
    for old, weight in zip(before, case.network.weights):
        np.testing.assert_array_equal(old, weight)


@every_attack
def test_breaks_something(case, text):
    assert case.broken(case.run(text)).sum() >= 6


@pytest.mark.parametrize("text", MINIMAL)
def test_minimal_norm_attacks_break_everything(case, text):
    assert case.broken(case.run(text)).all()


@pytest.mark.parametrize("text", MINIMAL)
def test_minimal_norm_attacks_return_misclassified_images_unchanged(case, text):
    attack = parse(text)
    wrong = (case.labels + 1) % 4
    adversarial = attack(case.logits_fn, tf.constant(case.images), tf.constant(wrong), seed=0)
    np.testing.assert_array_equal(adversarial, case.images)


@pytest.mark.parametrize("text", ITERATIVE)
def test_more_steps_are_no_weaker(case, text):
    few, many = re.sub(r"steps=\d+", "steps=1", text), text.replace("steps=", "steps=2")
    assert case.broken(case.run(many)).sum() >= case.broken(case.run(few)).sum()


@pytest.mark.parametrize("text", BOUNDED)
def test_a_larger_radius_is_no_weaker(case, text):
    radius = f"{parse(text).ball.radius:g}"
    counts = [case.broken(case.run(text.replace(radius, f"{factor}*{radius}", 1))).sum() for factor in (0, 0.2, 1, 4)]
    assert counts[0] == 0 and counts == sorted(counts)


@pytest.mark.parametrize("text", [text for text in LINF if "fgsm(" not in text or "mi_" in text])
def test_a_huge_radius_leaves_nothing(case, text):
    """Inside linf(1) every image is allowed."""
    assert case.broken(case.run(text.replace("0.05", "1"))).all()


@every_attack
def test_random_draws_depend_on_the_seed_where_there_are_any(case, text):
    same = np.array_equal(case.run(text, seed=1), case.run(text, seed=2))
    assert same == any(name in text for name in DETERMINISTIC)
