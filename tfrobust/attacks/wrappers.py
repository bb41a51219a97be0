"""Attacks made of attacks: confined to some pixels, on a random model, run several times, or towards a goal.

Each wrapper is itself an attack and may be wrapped again: `restarts(restricted(apgd(linf(8/255)), "pixels.npy"), 3)`.
"""

import abc
import dataclasses

import numpy as np
import tensorflow as tf

from tfrobust import balls, gradients, seeds
from tfrobust.errors import InputError

GOALS = ("least_likely", "random")


@dataclasses.dataclass(frozen=True)
class Wrapper(abc.ABC):
    """An attack that runs another one. It needs, bounds and minimises what that one does.

    Attributes:
      attack: the attack inside.
    """

    attack: object

    def __post_init__(self):
        if not hasattr(type(self.attack), "needs"):
            raise InputError(f"a wrapper takes an attack first, such as pgd(linf(8/255)); got {self.attack!r}")

    @property
    def needs(self):
        """What the attack needs of the model: "gradients", "scores" or "labels"."""
        return self.attack.needs

    @property
    def ball(self):
        """What perturbations are confined to, or None."""
        return getattr(self.attack, "ball", None)

    @property
    def norm(self):
        """What norm is made small, or None."""
        return getattr(self.attack, "norm", None)

    @abc.abstractmethod
    def __call__(self, logits_fn, images, labels, *, seed):
        """Images [batch, height, width, channels] in [0, 1] -> adversarial images."""


@dataclasses.dataclass(frozen=True)
class Restricted(Wrapper):
    """Any attack, confined to a set of pixels: it attacks images + pixels * (x - images).

    Attributes:
      attack: the attack inside.
      pixels: what may change, bool [height, width], or the path of an .npy file that holds it.

    Example:
      >>> left_half = np.arange(28)[None] < 14 & np.ones([28, 28], bool)
      >>> adversarial = Restricted(pgd(balls.Linf(0.3)), left_half)(logits_fn, images, labels, seed=0)
    """

    pixels: np.ndarray | str

    def __post_init__(self):
        super().__post_init__()
        if isinstance(self.pixels, str):
            try:
                object.__setattr__(self, "pixels", np.load(self.pixels, allow_pickle=False))
            except (OSError, ValueError) as error:
                raise InputError(f"{self.pixels} is not a readable .npy file of pixels") from error
        pixels = np.asarray(self.pixels)
        if pixels.dtype != bool or pixels.ndim != 2 or not pixels.any():
            raise InputError(f"pixels are bool [height, width], some of them True; got {pixels.dtype} {pixels.shape}")
        object.__setattr__(self, "pixels", pixels)

    def __call__(self, logits_fn, images, labels, *, seed):
        if self.pixels.shape != tuple(images.shape[1:3]):
            raise InputError(f"pixels are {self.pixels.shape}, but the images {tuple(images.shape[1:3])}")
        confined = gradients.Confined(logits_fn, images, self.pixels[None, :, :, None])
        return confined.images_of(self.attack(confined, images, labels, seed=seed))


@dataclasses.dataclass(frozen=True)
class Expectation(Wrapper):
    """An attack on a model that answers differently each time: it follows the mean over several draws.

    Gradients are the mean of the draws' gradients (Athalye et al., ICML 2018, section 4.2), decisions those of the mean
    logits. The model draws its own randomness.

    Attributes:
      attack: the attack inside.
      samples: draws for each gradient and each decision.
    """

    samples: int = 20

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.samples, int) or self.samples < 1:
            raise InputError(f"samples must be a whole number of at least 1, got {self.samples!r}")

    def __call__(self, logits_fn, images, labels, *, seed):
        return self.attack(gradients.Averaged(logits_fn, self.samples), images, labels, seed=seed)


@dataclasses.dataclass(frozen=True)
class Restarts(Wrapper):
    """Several runs with random draws of their own, each on what is still classified correctly.

    A bounded attack's first success is kept; of a minimal-norm attack, which runs on all images each time, the smallest.

    Attributes:
      attack: the attack inside.
      times: the number of runs.
    """

    times: int = 5

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.times, int) or self.times < 1:
            raise InputError(f"times must be a whole number of at least 1, got {self.times!r}")

    def __call__(self, logits_fn, images, labels, *, seed):
        keys, labels = seeds.resolve(seed, images), tf.cast(labels, tf.int32)
        right = _predict(logits_fn, images) == labels

        def unfinished(index, best, size):
            return tf.where((size > 0.0) if self.norm else tf.math.is_inf(size))[:, 0]

        def again(index, best, size):
            rows = unfinished(index, best, size)
            working_fn, clean, truth = (
                gradients.for_rows(logits_fn, rows),
                tf.gather(images, rows),
                tf.gather(labels, rows),
            )
            candidate = self.attack(working_fn, clean, truth, seed=tf.gather(seeds.fold_in(keys, index), rows))
            found = self.norm.size(candidate - clean) if self.norm else tf.zeros_like(truth, tf.float32)
            better = (_predict(working_fn, candidate) != truth) & (found < tf.gather(size, rows))
            chosen = rows[better][:, None]
            best = tf.tensor_scatter_nd_update(best, chosen, candidate[better])
            return index + 1, best, tf.tensor_scatter_nd_update(size, chosen, found[better])

        return tf.while_loop(
            lambda *state: tf.size(unfinished(*state)) > 0,
            again,
            (0, tf.convert_to_tensor(images), tf.where(right, float("inf"), 0.0)),
            maximum_iterations=self.times,
        )[1]


@dataclasses.dataclass(frozen=True)
class Targeted(Wrapper):
    """An attack that wants a certain answer. Images that have it already come back unchanged.

    Attributes:
      attack: the attack inside, one that has a field `targeted`.
      goal: a class, or "least_likely" on the clean image, or "random" among the wrong ones.
    """

    goal: int | str = "random"

    def __post_init__(self):
        super().__post_init__()
        if not any(field.name == "targeted" for field in dataclasses.fields(self.attack)):
            raise InputError(f"{type(self.attack).__name__} has no targeted form")
        if not (self.goal in GOALS or (isinstance(self.goal, int) and self.goal >= 0)):
            raise InputError(f"goal must be a class or one of {', '.join(GOALS)}; got {self.goal!r}")

    def goals(self, logits_fn, images, labels, seed):
        """The wanted labels: int32 [batch]."""
        labels = tf.cast(labels, tf.int32)
        if isinstance(self.goal, int):
            return tf.fill(tf.shape(labels), self.goal)
        logits = tf.convert_to_tensor(logits_fn(images))
        if self.goal == "least_likely":
            return tf.argmin(logits, axis=1, output_type=tf.int32)
        shift = 1 + seeds.integers(seeds.fold_in(seeds.resolve(seed, images), -1), [], tf.shape(logits)[1] - 1)
        return (labels + shift) % tf.shape(logits)[1]

    def __call__(self, logits_fn, images, labels, *, seed):
        goals = self.goals(logits_fn, images, labels, seed)
        adversarial = dataclasses.replace(self.attack, targeted=True)(logits_fn, images, goals, seed=seed)
        there = balls.per_example(_predict(logits_fn, images) == goals, images)
        return tf.where(there, images, adversarial)


def _predict(logits_fn, images):
    return tf.argmax(tf.convert_to_tensor(logits_fn(images)), axis=1, output_type=tf.int32)
