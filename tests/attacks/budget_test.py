"""Attacks that may ask only so often."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import attacks, balls, evaluate, seeds, targets
from tfrobust.errors import InputError

IMAGES = classifiers.random_images(6, low=0.3, high=0.7)
NETWORK = classifiers.smooth_network()
LABELS = tf.argmax(NETWORK(IMAGES), axis=1, output_type=tf.int32)
ATTACKS = [
    attacks.Square(balls.Linf(0.1), queries=100),
    attacks.SPSA(balls.Linf(0.1), steps=20, samples=16),
    attacks.Boundary(steps=60, tries=20),
    attacks.HopSkipJump(steps=3, tries=20),
    attacks.OnePixel(balls.L0(2), population=20, generations=10),
]


class Recorder:
    """The network as a Python function, which counts images that it has seen."""

    def __init__(self, answer=lambda logits: logits):
        self.asked, self.answer = 0, answer

    def __call__(self, images):
        self.asked += len(images)
        return self.answer(NETWORK(np.asarray(images)).numpy())


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: type(attack).__name__)
@pytest.mark.parametrize("queries", [1, 50])
def test_no_example_is_asked_about_once_more(attack, queries):
    """Each example by itself, and all together: everyone has a budget of its own."""
    each = []
    for index in range(3):
        recorder, row = Recorder(), slice(index, index + 1)
        keys = seeds.per_example(0, np.array([index]))
        attacks.Budget(attack, queries)(recorder, IMAGES[row], LABELS[row], seed=keys)
        each.append(recorder.asked)
    assert max(each) <= queries
    together = Recorder()
    attacks.Budget(attack, queries)(together, IMAGES[:3], LABELS[:3], seed=0)
    assert together.asked == sum(each)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: type(attack).__name__)
def test_a_budget_that_is_not_used_up_changes_nothing(attack):
    expected = attack(NETWORK, IMAGES, LABELS, seed=3)
    np.testing.assert_allclose(attacks.Budget(attack, 100_000)(NETWORK, IMAGES, LABELS, seed=3), expected, atol=1e-6)


@pytest.mark.parametrize("attack", [attacks.Boundary(steps=150), attacks.HopSkipJump(steps=3)])
def test_what_was_reached_within_the_budget_stays(attack):
    """From labels, of the network compiled and of a Python function: still adversarial, and nearer with more queries."""

    def reached(queries):
        limited = attacks.Budget(attack, queries)
        from_python = limited(Recorder(lambda logits: logits.argmax(axis=1)), IMAGES, LABELS, seed=0).numpy()
        compiled = tf.function(limited, autograph=False)(NETWORK, IMAGES, LABELS, seed=0).numpy()
        np.testing.assert_allclose(from_python, compiled, atol=1e-4)
        assert (NETWORK(compiled).numpy().argmax(axis=1) != LABELS.numpy()).all()
        return np.median(balls.L2.size(compiled - IMAGES))

    assert reached(120) < reached(40)


def test_the_limit_holds_again_in_the_next_batch():
    limited = tf.function(attacks.Budget(attacks.Square(balls.Linf(0.02), queries=50), 10), autograph=False)
    first, again = (limited(NETWORK, IMAGES, LABELS, seed=0) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - IMAGES).max() > 0.01


def test_the_evaluation_reports_no_more_queries_than_the_budget():
    target = targets.FunctionTarget(Recorder(), name="recorder")
    attack = "budget(square(linf(0.01), queries=200), 25)"
    (row,) = evaluate(target, IMAGES, LABELS.numpy(), [attack], progress=False).report["attacks"]
    assert row["queries"] == 25


def test_what_is_not_a_budget_is_refused():
    with pytest.raises(InputError, match="from scores or labels"):
        attacks.Budget(attacks.pgd(balls.Linf(0.1)), 100)
    with pytest.raises(InputError, match="whole number"):
        attacks.parse("budget(square(linf(0.1)), queries=0)")
