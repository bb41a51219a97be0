"""The cascade of AutoAttack."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import attacks, balls, objectives
from tfrobust.errors import InputError

BALL = balls.Linf(0.1)


@dataclasses.dataclass(frozen=True)
class Recorder:
    """Breaks (two classes, one value) the images below a limit by making them black; leaves a trace in the others."""

    limit: float
    seen: list

    needs = "scores"

    def __call__(self, logits_fn, images, labels, *, seed):
        self.seen.append((images.numpy().ravel().tolist(), seed[:, 1].numpy().tolist()))
        return tf.where(images < self.limit, 0.0, images + 0.01)


def step_model(images):
    bright = tf.reshape(images, [-1])
    return tf.stack([bright, tf.fill(tf.shape(bright), 0.05)], axis=1)


def test_each_attack_sees_the_clean_images_of_what_is_left():
    seen = []
    images = tf.reshape(tf.constant([0.3, 0.01, 0.1, 0.6, 0.2]), [5, 1, 1, 1])  # the second one is misclassified
    cascade = attacks.Cascade(BALL, tuple(Recorder(limit, seen) for limit in (0.15, 0.25, 0.35, 0.36)))
    found = tf.reshape(cascade(step_model, images, tf.zeros([5], tf.int32), seed=0), [-1])
    images_seen = [np.round(images, 6).tolist() for images, _ in seen]
    assert [rows for _, rows in seen] == [[0, 2, 3, 4], [0, 3, 4], [0, 3], [3]]
    assert images_seen == [[0.3, 0.1, 0.6, 0.2], [0.3, 0.6, 0.2], [0.3, 0.6], [0.6]]
    np.testing.assert_allclose(found, [0.0, 0.01, 0.0, 0.6, 0.0])


def test_no_attack_runs_on_nothing():
    seen = []
    images = tf.fill([2, 1, 1, 1], 0.1)
    attacks.Cascade(BALL, (Recorder(1.0, seen),) * 3)(step_model, images, tf.zeros([2], tf.int32), seed=0)
    assert len(seen) == 1


def test_standard_is_the_papers():
    first, second, third, last = attacks.auto_attack(BALL).attacks
    assert first == attacks.apgd(BALL, steps=100, restarts=1, objective=objectives.cross_entropy)
    assert second == attacks.apgd_targeted(BALL, steps=100, restarts=1, targets=9)
    assert third == attacks.FAB(balls.Linf, steps=100, restarts=1, targets=9, radius=0.1)
    assert last == attacks.Square(BALL, queries=5000, p=0.8, restarts=1, schedule=10_000)
    assert attacks.auto_attack(BALL).ball == BALL and attacks.auto_attack(BALL).needs == "gradients"


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("version", ["standard", "rand"])
def test_few_classes(version, classes):
    network = classifiers.smooth_network(classes=classes)
    images = tf.constant(classifiers.random_images(6))
    labels = tf.argmax(network(images), axis=1)
    attack = attacks.auto_attack(balls.L2(2.0), version)
    found = tf.function(lambda x, y: attack(network, x, y, seed=0))(images, labels)
    assert (tf.argmax(network(found), axis=1) != labels).numpy().all()


def test_rand_decides_by_the_mean_of_twenty_draws():
    """A model that is right on average but often wrong: no lucky draw counts."""
    generator = tf.random.Generator.from_seed(0)

    def noisy(images):
        score = 1.0 + tf.reduce_sum(0.01 * images, axis=[1, 2, 3]) + 1.5 * generator.normal([tf.shape(images)[0]])
        return tf.stack([score, tf.zeros_like(score)], axis=1)

    images, labels = tf.fill([64, 2, 2, 1], 0.5), tf.zeros([64], tf.int32)
    cascade = attacks.auto_attack(BALL, "rand")
    assert cascade.samples == 20 and [wrapper.samples for wrapper in cascade.attacks] == [20, 20]
    short = tuple(attacks.Expectation(attacks.apgd(BALL, steps=5), samples=samples) for samples in (20, 1))

    def changed(attack):
        delta = attack(noisy, images, labels, seed=0) - images
        return np.count_nonzero(balls.Linf.size(delta))

    assert changed(attacks.Cascade(BALL, short[:1], samples=20)) <= 1
    assert changed(attacks.Cascade(BALL, short[1:])) >= 3


def test_senseless_settings_are_refused():
    with pytest.raises(InputError, match="version"):
        attacks.auto_attack(BALL, "plus")
    with pytest.raises(InputError, match="linf or l2"):
        attacks.auto_attack(balls.L1(1.0))
    assert attacks.parse("auto_attack(linf(0.1), version=rand)") == attacks.auto_attack(BALL, "rand")
