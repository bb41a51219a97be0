"""TRADES and MART: clean and adversarial images are to be answered alike, by the divergence of what the network says of them.

    TRADES   CE(x, y) + beta * KL(p(x) || p(x'))                       x' raises the divergence
    MART     BCE(x', y) + beta * KL(p(x) || p(x')) * (1 - p_y(x))      x' raises the cross-entropy

with BCE(x', y) = CE(x', y) - log(1 - p(x') of the likeliest wrong class). Zhang et al., ICML 2019, eq. 5 and algorithm 1;
Wang et al., ICLR 2020, eq. 11. What their texts leave open is as in the authors' code: the attack starts at the clean
image with normal noise of standard deviation 0.001 and ends at its last iterate, clean and adversarial images go through
the network one after the other, and both losses' gradients flow through both.
"""

import abc
import dataclasses
from typing import Any

import keras
import tensorflow as tf

from tfrobust import objectives, seeds
from tfrobust.attacks import PGD, Attack, Problem
from tfrobust.defenses import checks
from tfrobust.defenses.attacking import AttackingDefense
from tfrobust.defenses.defense import Batch, Losses, mean, unscaled
from tfrobust.errors import InputError

_NOISE = 0.001  # of the attack's start, the standard deviation
_ABOVE_ONE = 1.0001  # keeps the logarithm of MART's margin finite


class _Regularized(AttackingDefense):
    """What both are: a loss of the labels, and a divergence that is weighted by beta."""

    run_attack: PGD

    def __init__(self, network: keras.Model, attack: Attack | str, beta: float = 6.0, seed: int = 0, **kwargs: Any):
        if not beta >= 0:
            raise InputError(f"beta is the weight of the divergence, at least 0; got {beta!r}")
        means = [keras.metrics.Mean(name) for name in ("label_loss", "divergence")]
        super().__init__(network, attack, seed, {"beta": beta}, means, **kwargs)
        if not isinstance(self.run_attack, PGD):
            raise InputError(f"{type(self).__name__} is trained with pgd(...), such as pgd(linf(8/255)); got {attack}")
        self.beta = beta

    def solve(self, problem: Problem) -> tf.Tensor:
        noise = seeds.normal(problem.keys, problem.images.shape[1:])
        return self.solve_from(problem, problem.images + _NOISE * noise)

    def solve_from(self, problem: Problem, start: tf.Tensor) -> tf.Tensor:
        """The attack from given images."""
        problem = problem.opened()
        attack = dataclasses.replace(self.run_attack, objective=self._raised(problem.clean), keep="last")
        return attack.run_from(problem, start)

    def losses_of(self, batch: Batch, training: bool) -> Losses:
        clean, robust = (self.network(images, training=training) for images in (batch.images, batch.adversarial))
        clean, robust = checks.checked_logits(clean), checks.checked_logits(robust)
        label_loss, divergence = self._terms(batch, clean, robust)
        divergence = mean(divergence, batch.sample_weight)
        reported = {"robust_accuracy": (batch.classes, robust), "label_loss": (unscaled(label_loss),)}
        reported["divergence"] = (unscaled(divergence),)
        return Losses(label_loss + self.beta * divergence, clean, reported)

    @abc.abstractmethod
    def _raised(self, clean):
        """The objective of the attack, given the logits of the clean images."""

    @abc.abstractmethod
    def _terms(self, batch, clean, robust):
        """This replica's share of the loss of the labels, and the divergence of each example, [batch]."""


@keras.saving.register_keras_serializable(package="tfrobust")
class TRADES(_Regularized):
    """A network with TRADES as its training step (Zhang et al., ICML 2019). Compile and fit it, then save `.network`.

    Reported are the compiled metrics, of the clean images, `robust_accuracy`, of the adversarial ones, and the means of
    the two terms, `label_loss` and `divergence`.

    Args:
      network, attack, seed: see `AttackingDefense`. Of the attack, a `pgd`, the ball, the steps and their size are taken.
      beta: the weight of the divergence, 1/lambda in the paper; theirs are 6 on CIFAR-10 and on MNIST 1 or 6.

    Raises:
      InputError: as `AttackingDefense`, for another attack than `pgd`, and for a negative beta.

    Example:
      >>> model = TRADES(network, "pgd(linf(0.3), steps=40, step_size=0.01)", beta=6.0)
      >>> model.compile(keras.optimizers.SGD(0.01, momentum=0.9),
      ...               keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
      >>> model.fit(images, labels, batch_size=128, epochs=5)
      >>> model.network.save("model.keras")
    """

    def _raised(self, clean):
        return lambda logits, labels: divergence_of(clean, logits)

    def _terms(self, batch, clean, robust):
        label_loss = self.compute_loss(batch.images, batch.labels, clean, batch.sample_weight)
        return label_loss, divergence_of(clean, robust)


@keras.saving.register_keras_serializable(package="tfrobust")
class MART(_Regularized):
    """A network with MART as its training step (Wang et al., ICLR 2020). Compile and fit it, then save `.network`.

    Arguments, what is reported and errors are those of `TRADES`; beta is lambda in the paper, 5 or 6 there.

    Example:
      >>> model = MART(network, "pgd(linf(8/255), steps=10, step_size=2/255)", beta=6.0)
    """

    def _raised(self, clean):
        def cross_entropy(logits, labels):  # under its own name a problem takes the log-odds instead
            return objectives.cross_entropy(logits, labels)

        return cross_entropy

    def _terms(self, batch, clean, robust):
        label_loss = self.compute_loss(batch.adversarial, batch.labels, robust, batch.sample_weight)
        rival = tf.reduce_max(tf.where(_of(batch, robust), 0.0, tf.nn.softmax(robust)), axis=1)
        label_loss += mean(-tf.math.log(_ABOVE_ONE - rival), batch.sample_weight)
        doubt = 1.0 - tf.reduce_sum(tf.where(_of(batch, clean), tf.nn.softmax(clean), 0.0), axis=1)
        return label_loss, divergence_of(clean, robust) * doubt


def divergence_of(clean, logits):
    """KL(softmax(clean) || softmax(logits)), float32 [batch] of logits [batch, classes] each."""
    known = tf.nn.log_softmax(clean)
    return tf.reduce_sum(tf.exp(known) * (known - tf.nn.log_softmax(logits)), axis=1)


def _of(batch, logits):
    """bool [batch, classes], true at the label."""
    return tf.one_hot(batch.classes, logits.shape[1], on_value=True, off_value=False)
