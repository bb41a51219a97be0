"""Certified beside empirical accuracy: what is proved of a network, and what an attack leaves of it.

What an attack leaves can never be less than what is proved. Where it is, one of the two is wrong: `Curve.contradictions`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfrobust import attacks, seeds, targets
from tfrobust.analysis import smoothing
from tfrobust.errors import InputError
from tfrobust.evaluation.exported import as_csv
from tfrobust.evaluation.metrics import wilson_interval
from tfrobust.evaluation.render import figures, overview, page
from tfrobust.evaluation.render.page import Beside
from tfrobust.evaluation.render.pictures import lines_with_bands
from tfrobust.evaluation.render.text import fitted, interval
from tfrobust.models.interval_bounds import IntervalBounds


class Curve(NamedTuple):
    """Two verdicts about the same images at several radii.

    Attributes:
      ball: the name of the norm, such as "linf".
      radii: on the [0, 1] pixel scale, in order.
      certified: bool [radii, examples], those whose label is proved.
      robust: bool [radii, examples], those that the attack leaves classified correctly.
      changed: bool [radii, examples], those for which the attack found another class: what contradicts a proof.
    """

    ball: str
    radii: tuple[float, ...]
    certified: np.ndarray
    robust: np.ndarray
    changed: np.ndarray

    def contradictions(self) -> list[str]:
        """A line for each radius at which an attack broke what is certified: a bug in one of them."""
        found = self.certified & self.changed
        return [
            f"{self.ball}({radius:g}): certified, but broken by the attack: images {', '.join(map(str, np.flatnonzero(row)))}"
            for radius, row in zip(self.radii, found)
            if row.any()
        ]

    def rows(self) -> list[dict]:
        """The curve as numbers, a row for each radius: shares, and the ends of their Wilson intervals."""
        rows = []
        for radius, certified, robust in zip(self.radii, self.certified, self.robust):
            row = {"radius": radius, "examples": len(certified)}
            for name, verdict in (("certified", certified), ("empirical", robust)):
                low, high = wilson_interval(verdict.mean(), len(verdict))
                row |= {name: float(verdict.mean()), f"{name}_low": float(low), f"{name}_high": float(high)}
            rows.append(row)
        return rows

    def table(self) -> str:
        """The curve as text, with intervals of 95 %."""
        cells = [[f"{self.ball} radius", "certified", "", "left by the attack", ""]]
        for row in self.rows():
            shares = row["certified"], row["empirical"]
            cells.append([f"{row['radius']:g}", *(text for share in shares for text in _share(share, row["examples"]))])
        return "\n".join(fitted(cells, words=1))

    def page(self, title: str, run: Mapping[str, str | None] | None = None) -> str:
        """The curve as an HTML page: whether certificates and attack agree, the picture, and a table.

        Args:
          title: what was certified, such as the model's path.
          run: how it came about: see `tfrobust.evaluation.provenance.of_run`.
        """
        wrong = self.contradictions()
        verdict = wrong or [f"no attack broke what is certified, of {self.certified.shape[1]} examples"]
        cells: list[list[str | dict[str, float]]] = [["radius", "certified", "left by the attack"]]
        for row in self.rows():
            found = [overview.share(row[name], row) for name in ("certified", "empirical")]
            cells.append([f"{self.ball}({row['radius']:g})", *found])
        beside = Beside(title, not wrong, verdict, [("Certified and empirical accuracy", cells)])
        drawn = figures.of(self.picture, "Certified accuracy, and what the attack leaves, by radius")
        return page.plain(beside, [("By radius", drawn)], run)

    def csv(self) -> str:
        """The rows as CSV."""
        return as_csv(self.rows())

    def picture(self) -> bytes:
        """A PNG of both accuracies by radius, with intervals of 95 %."""
        lines = {
            label: [(row["radius"], row[name], row[f"{name}_low"], row[f"{name}_high"]) for row in self.rows()]
            for label, name in (("certified", "certified"), ("left by the attack", "empirical"))
        }
        return lines_with_bands(lines, f"{self.ball} radius on the [0, 1] scale", "accuracy")


def by_intervals(
    network: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    radii: Sequence[float],
    attack: attacks.Attack,
    *,
    batch_size: int = 100,
    seed: int = 0,
) -> Curve:
    """Interval bounds beside an attack, in linf.

    Args:
      network: a Keras model that `tfrobust.models.IntervalBounds` takes.
      images: float32 [examples, height, width, channels] in [0, 1].
      labels: int [examples].
      radii: on the [0, 1] pixel scale.
      attack: bounded in linf; it is run at each radius.
      batch_size: images at a time.
      seed: of the attack.

    Raises:
      InputError: for a network with a layer whose bounds are not known, or that computes in 16 bits.
    """
    bounds, target = IntervalBounds(network), targets.KerasTarget(network)
    short = next((layer for layer in network.layers if layer.compute_dtype in ("bfloat16", "float16")), None)
    if short is not None:
        raise InputError(
            f"{network.name} computes in 16 bits ({short.name} in {short.compute_dtype}), and interval bounds do not cover "
            "their rounding: build it in float32 and give it these weights (--init_weights)"
        )
    certified, right = [], []
    for radius in radii:
        at_radius = attack.at_radius(radius)

        def judge(x, y, keys, attack=at_radius, radius=radius):
            predicted = tf.argmax(target.logits(attack(target.logits, x, y, seed=keys)), axis=1)
            return tf.stack([bounds.certified(x, y, radius), predicted == y], axis=1)

        verdicts = _in_batches(judge, images, labels, batch_size, seed)
        certified.append(verdicts[:, 0])
        right.append(verdicts[:, 1])
    robust = np.array(right)
    return Curve("linf", tuple(radii), np.array(certified), robust, ~robust)


def by_smoothing(
    network: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    sigma: float,
    radii: Sequence[float],
    attack: attacks.Attack,
    *,
    samples: int = 10_000,
    attack_samples: int = 16,
    alpha: float = 0.001,
    batch_size: int = 100,
    seed: int = 0,
    progress: bool = True,
) -> Curve:
    """Randomized smoothing beside an attack on the smoothed classifier, in l2.

    The attack averages gradients over `attack_samples` noisy copies, which makes it adaptive; what it makes is shown to the
    smoothed classifier, `smoothing.predict`. An image about which that abstains then counts as broken, but contradicts
    nothing.

    Args:
      network: a Keras model, trained on noise.
      sigma, samples, alpha: see `smoothing.certify`.
      attack: bounded in l2; it is run at each radius.
      images, labels, radii, batch_size, seed: see `by_intervals`.
      progress: whether to show progress bars.
    """
    found = smoothing.certify(
        network, images, sigma, samples=samples, alpha=alpha, batch_size=batch_size * 10, seed=seed, progress=progress
    )
    target = targets.KerasTarget(network)

    def noisy(x):
        return target.logits(x + sigma * tf.random.normal(tf.shape(x)))

    certified, robust, changed = [], [], []
    for radius in radii:
        adaptive = attacks.Expectation(attack.at_radius(radius), samples=attack_samples)

        def craft(x, y, keys, attack=adaptive):
            return attack(noisy, x, y, seed=keys)

        made = _in_batches(craft, images, labels, batch_size, seed) if radius > 0 else images
        answers = smoothing.predict(
            network,
            made,
            sigma,
            samples=samples,
            alpha=alpha,
            batch_size=batch_size * 10,
            seed=seed,
            progress=progress,
        )
        certified.append((found.predictions == labels) & (found.radii >= radius) & (found.radii > 0))
        robust.append(answers == labels)
        changed.append((answers != labels) & (answers != smoothing.ABSTAINED))
    return Curve("l2", tuple(radii), np.array(certified), np.array(robust), np.array(changed))


def _share(share, examples):
    return f"{share:.1%}", f"({interval(share, examples)})"


def _in_batches(function, images, labels, batch_size, seed) -> np.ndarray:
    """A function of images, labels and seeds, compiled once, of all examples."""
    specifications = [([None, *images.shape[1:]], tf.float32), ([None], tf.int64), ([None, 2], tf.int32)]
    signature = [tf.TensorSpec(*one) for one in specifications]
    compiled = tf.function(function, signature, autograph=False).get_concrete_function()
    keys = seeds.per_example(seed, np.arange(len(images)))
    batches = tf.data.Dataset.from_tensor_slices((images, np.asarray(labels, "int64"), keys)).batch(batch_size)
    return np.concatenate([compiled(*batch).numpy() for batch in batches])
