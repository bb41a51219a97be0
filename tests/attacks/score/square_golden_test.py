"""Square on the original AutoAttack's own random draws: it has to leave the images that the original left.

The file's verdicts come from seed 0 of PyTorch's generator, a Mersenne Twister as NumPy's. A test draws from it what the
original drew, in its order, and gives that to `Square` in place of its own draws. Three things are undone so, in which
`Square` differs on purpose: squares of each example's own, squares that reach the last row and column, and other signs for
a square that would change nothing.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import shared
from tfrobust import attacks, balls, seeds

pytestmark = shared.needs_golden
QUERIES, SIZE = 1000, 28


class OriginalDraws:
    """Takes the place of `seeds.uniform` in one run of `Square`."""

    def __init__(self, attack):
        self.generator = np.random.RandomState(0)
        self.bumpy = not isinstance(attack.ball, balls.Linf)
        self.sides = iter(attack._sides((None, SIZE, SIZE, 1), odd=self.bumpy))

    def __call__(self, keys, shape):
        if len(shape) > 1:
            draw = self._bumps if self.bumpy else self._stripes
        else:
            draw = self._two_squares if self.bumpy else self._square
        draws = tf.numpy_function(lambda count: draw(count, shape).astype("float32"), [tf.shape(keys)[0]], tf.float32)
        return tf.ensure_shape(draws, [None, *shape])

    def _draw(self, *shape):
        """PyTorch's `rand`: the low 24 bits of each output."""
        outputs = np.frombuffer(self.generator.bytes(4 * int(np.prod(shape))), "<u4")
        return (outputs % 2**24 / 2**24).reshape(shape)

    def _corners(self, count):
        """The original has one corner for all images, from one place less: [count, 2] that lead to the same places."""
        places = SIZE - self.side
        first = np.floor(np.float32(places) * self._draw(2).astype("float32"))
        return np.tile((first + 0.5) / (places + 1), [count, 1])

    def _stripes(self, count, shape):
        return self._draw(count, *shape)

    def _square(self, count, _):
        self.side = next(self.sides)
        corners, sign = self._corners(count), np.tile(self._draw(1), [count, 1])
        return np.concatenate([corners, sign, np.full([count, 1], -1.0)], axis=1)  # -1: the same signs again

    def _bumps(self, count, shape):
        """The start in l2 and l1, tile by tile: one turn for all images, then their signs."""
        draws = np.empty([count, *shape])
        for tile in np.ndindex(*shape[:2]):
            draws[:, *tile, 0], draws[:, *tile, 1] = self._draw(1), self._draw(count)
        return draws

    def _two_squares(self, count, _):
        self.side = next(self.sides)
        receiver, donor = self._corners(count), self._corners(count)
        turn, signs = self._draw(1), self._draw(count)
        return np.concatenate([receiver, donor, np.tile(1.0 - turn, [count, 1]), signs[:, None]], axis=1)


@pytest.mark.parametrize("ball", shared.golden_balls(), ids=str)
def test_leaves_the_images_that_the_original_leaves(ball, monkeypatch):
    network, examples = shared.reference_lenet(), shared.golden("deepfool_lenet_mnist")
    images, labels = examples["images"], examples["labels"]
    attack = attacks.Square(ball, queries=QUERIES, schedule=10_000)
    monkeypatch.setattr(seeds, "uniform", OriginalDraws(attack))
    adversarial = tf.function(lambda: attack(network, images, labels, seed=0), autograph=False)()
    survives = np.argmax(network(adversarial), axis=1) == labels
    differ = survives != shared.survives_original(ball, "square")
    assert differ.sum() <= 1  # 0, unless the machine's kernels round otherwise and tip one
