"""Survival of each image against the original AutoAttack: the reference LeNet, 100 MNIST images.

The original's parts ran with one restart, nine targets and 1000 queries of Square on its own schedule for 10,000.
Square is compared on the original's draws (`square_golden_test.py`): on its own, images near the limit are chance.

Each part runs once on all images, and the cascade. One radius a norm, one cascade and the first 50 images make the tests
quick; with TFROBUST_WHOLE_GOLDEN=1 they are all of the file.
"""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.support import shared
from tfrobust import attacks, balls, seeds

pytestmark = shared.needs_golden
BALLS = shared.golden_balls()
EVERY = np.arange(shared.GOLDEN_IMAGES)
ALLOWED = shared.GOLDEN_IMAGES // 50  # images near the boundary that rounding may tip
ALL = "apgd-ce+apgd-t+fab-t+square"
every_ball = pytest.mark.parametrize("ball", BALLS, ids=str)


@functools.cache
def case():
    network, examples = shared.reference_lenet(), shared.golden("deepfool_lenet_mnist")
    return network, examples["images"], examples["labels"]


def shortened(ball):
    """AutoAttack with the queries of the file."""
    *others, square = attacks.auto_attack(ball).attacks
    return (*others, attacks.Square(ball, queries=1000, schedule=square.schedule))


def crafter(attack):
    """Rows int32 [n] and their seeds -> adversarial images; compiled once for all n."""
    network, images, labels = case()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32), tf.TensorSpec([None, 2], tf.int32)], autograph=False)
    def craft(rows, keys):
        return attack(network, tf.gather(images, rows), tf.gather(labels, rows), seed=keys)

    return lambda rows, keys: craft(tf.constant(rows, tf.int32), keys).numpy()


def survives(made, rows, ball):
    """Which of these images are still classified correctly, or lie outside of the ball: bool [rows]."""
    network, images, labels = case()
    outside = ball.size(made - images[rows]).numpy() > ball.radius * (1 + 1e-5)
    return (np.argmax(network(made), axis=1) == labels[rows]) | outside


def draws(rows, part):
    """The seeds that a part of the cascade gets."""
    return seeds.fold_in(seeds.per_example(0, rows), part)


def theirs(ball, attack):
    """Which images the original left; in l1 Auto-PGD has other restarts and targets as a part of the cascade."""
    if isinstance(ball, balls.L1) and attack in ("apgd-ce", ALL):
        attack = f"standard:{attack}"
    return shared.survives_original(ball, attack)[EVERY]


@every_ball
def test_apgd(ball):
    made = crafter(shortened(ball)[0])(EVERY, draws(EVERY, 0))
    assert (survives(made, EVERY, ball) != theirs(ball, "apgd-ce")).sum() <= ALLOWED


@every_ball
def test_apgd_targeted(ball):
    attack = attacks.apgd_targeted(ball)
    assert shortened(ball)[1] == attack or isinstance(ball, balls.L1)
    made = crafter(attack)(EVERY, draws(EVERY, 1))
    assert (survives(made, EVERY, ball) != theirs(ball, "apgd-t")).sum() <= ALLOWED


@every_ball
def test_fab_targeted(ball):
    made = crafter(shortened(ball)[2])(EVERY, draws(EVERY, 2))
    assert (survives(made, EVERY, ball) != theirs(ball, "fab-t")).sum() <= ALLOWED


@pytest.mark.parametrize("ball", BALLS if shared.WHOLE else BALLS[:1], ids=str)
def test_auto_attack(ball):
    made = crafter(attacks.Cascade(ball, shortened(ball)))(EVERY, seeds.per_example(0, EVERY))
    found, expected = survives(made, EVERY, ball), theirs(ball, ALL)
    assert (found != expected).sum() <= 1 and found.sum() <= expected.sum() + 1
