"""Deep Defense: training that differentiates through DeepFool.

Yan, Guo and Zhang, NeurIPS 2018, eq. 6:

    mean_k CE_k + lam * mean_k R_k    R = exp(-c * rho) where classified correctly, exp(d * rho) where misclassified

with rho = ||delta||_2 / ||x||_2, delta the DeepFool perturbation (to the nearest other class, or to the label where
the image is misclassified) and x the image as the network sees it after preprocessing. The paper's supplement adds
the cross-entropy of adversarial images (section 2, figure 6), and keeps the regularizer's gradient for one layer alone
(the layer-wise study, figure 5).
"""

import functools
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfrobust import attacks, balls
from tfrobust.attacks import minimal_perturbation
from tfrobust.attacks.gradient.deepfool import MNIST_TINY
from tfrobust.defenses import checks
from tfrobust.defenses.attacking import attacked_images, solved
from tfrobust.defenses.defense import Batch, Defense, Losses, scaled, unscaled
from tfrobust.errors import InputError
from tfrobust.layers import preprocessing


@keras.saving.register_keras_serializable(package="tfrobust")
class DeepDefense(Defense):
    """A network with Deep Defense as its training step. Compile and fit it, then save `.network`.

    Batch normalization and dropout are in training mode for the cross-entropy only; perturbations are those of the
    network at inference. With `frozen_batch_norm` both are of the network at inference, if it has batch normalization:
    its means and variances stay those of the pre-trained network, its factors and offsets are learned. The paper counts
    means and variances among what is learned; at inference that adds nothing to learning factors and offsets.

    Reported are the compiled metrics, and the means of `cross_entropy`, of the `regularizer` R and of `rho_2`; with an
    attack, of `adversarial_cross_entropy`, too.

    Args:
      network: a Keras model from images in [0, 1] to logits. It is trained in place.
      lam, c, d: weights of the regularizer; the defaults are the paper's for MNIST and CIFAR-10.
      steps: DeepFool iterations.
      candidates: among how many likeliest classes, the predicted one included, DeepFool looks for the nearest.
      frozen_batch_norm: see above; for fine-tuning in small batches.
      overshoot, tiny: see `minimal_perturbation`; the default of `tiny` is the authors' MNIST value.
      attack: the text of an attack such as "fgsm(linf(0.1))", the cross-entropy of whose images is added to the loss
        ("Deep Defense + Adv. II"); None: none is.
      regularized_layers: names of the layers whose weights the regularizer changes; None: all.
      seed: of the attack's random draws.

    Raises:
      InputError: for an attack that cannot be parsed, or the name of a layer that the network has not.

    Example:
      >>> model = DeepDefense(network)
      >>> model.compile(keras.optimizers.SGD(5e-4, momentum=0.9),
      ...               keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
      >>> model.fit(images, labels, batch_size=100, epochs=5)
      >>> model.network.save("model.keras")
    """

    def __init__(
        self,
        network: keras.Model,
        lam: float = 15.0,
        c: float = 25.0,
        d: float = 5.0,
        steps: int = 5,
        overshoot: float = 0.02,
        tiny: float = MNIST_TINY,
        candidates: int = 10,
        frozen_batch_norm: bool = False,
        *,
        attack: str | None = None,
        regularized_layers: Sequence[str] | None = None,
        seed: int = 0,
        **kwargs: Any,
    ):
        settings: dict[str, object] = {"lam": lam, "c": c, "d": d, "steps": steps, "overshoot": overshoot, "tiny": tiny}
        settings |= {"candidates": candidates, "frozen_batch_norm": frozen_batch_norm, "attack": attack, "seed": seed}
        settings["regularized_layers"] = None if regularized_layers is None else list(regularized_layers)
        names = ("cross_entropy", "regularizer", "rho_2", *(["adversarial_cross_entropy"] if attack else []))
        means = [keras.metrics.Mean(name) for name in names]
        super().__init__(network, settings, means, **kwargs)
        self.lam, self.c, self.d = lam, c, d
        self.steps, self.overshoot, self.tiny, self.candidates = steps, overshoot, tiny, candidates
        self.origin = preprocessing.origin(network)
        parts = list(_parts(network))
        frozen = frozen_batch_norm and any(isinstance(part, keras.layers.BatchNormalization) for part in parts)
        self.seed, self.run_attack = seed, attack and attacks.parse(attack)
        self.regularized_layers = None if regularized_layers is None else list(regularized_layers)
        if regularized_layers is not None:
            _variables_of(
                parts, regularized_layers
            )  # are looked for again when they are needed: Keras would count them twice
        self.has_training_mode = not frozen and any(map(_has_training_mode, parts))

    def perturbation_penalty(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The regularizer of each example.

        Args:
          images: float32 [batch, height, width, channels] in [0, 1].
          labels: int [batch].

        Returns:
          (R float32 [batch], rho_2 float32 [batch], clean logits at inference [batch, classes]), all differentiable.
        """
        found = minimal_perturbation(
            lambda x: self.network(x, training=False),
            images,
            labels,
            steps=self.steps,
            overshoot=self.overshoot,
            candidates=self.candidates,
            tiny=self.tiny,
        )
        rho_2 = balls.relative_size(balls.L2, found.delta, images, self.origin)
        correct = tf.argmax(found.logits, axis=1, output_type=tf.int32) == tf.cast(labels, tf.int32)
        return tf.exp(tf.where(correct, -float(self.c), float(self.d)) * rho_2), rho_2, found.logits

    def attacked(self, batch: Batch, training: bool) -> Batch:
        batch = batch._replace(images=checks.checked_images(batch.images))
        if not self.run_attack:
            return batch
        solve, step = functools.partial(solved, self.run_attack), self.optimizer.iterations.value if training else 0
        made = attacked_images(self.network, solve, batch.images, batch.classes, self.seed, step)
        return batch._replace(adversarial=made)

    def losses_of(self, batch: Batch, training: bool) -> Losses:
        regularizer, penalty, rho_2, logits = self._regularizer(batch)
        if training and self.has_training_mode:  # else a second forward pass would say the same
            logits = self.network(batch.images, training=True)
        logits = checks.checked_logits(logits)
        cross_entropy = self.compute_loss(batch.images, batch.labels, logits, batch.sample_weight, training)
        loss, examples = cross_entropy + self.lam * regularizer, tf.shape(batch.images)[0]
        reported = {
            "cross_entropy": (unscaled(cross_entropy), examples),
            "regularizer": (penalty,),
            "rho_2": (rho_2,),
        }
        if self.run_attack:
            robust = self.network(batch.adversarial, training=training and self.has_training_mode)
            of_attack = self.label_loss(batch, robust)
            loss += of_attack
            reported["adversarial_cross_entropy"] = (unscaled(of_attack), examples)
        return Losses(loss, logits, reported)

    def _regularizer(self, batch):
        """This replica's share of the mean of R; and R, rho_2 and logits as of `perturbation_penalty`."""
        if self.regularized_layers is None:
            penalty, rho_2, logits = self.perturbation_penalty(batch.images, batch.classes)
            return scaled(tf.reduce_mean(penalty)), penalty, rho_2, logits
        with tf.GradientTape() as tape:
            penalty, rho_2, logits = self.perturbation_penalty(batch.images, batch.classes)
            mean = scaled(tf.reduce_mean(penalty))
        kept = [variable.value for variable in _variables_of(_parts(self.network), self.regularized_layers)]
        gradients = tape.gradient(mean, kept, unconnected_gradients="zero")
        # Linear in the weights that are kept, so that no other has a gradient; its value is that of the mean.
        products = [tf.reduce_sum(tf.stop_gradient(slope) * value) for slope, value in zip(gradients, kept)]
        linear = sum(tf.cast(product, mean.dtype) for product in products)
        return tf.stop_gradient(mean - linear) + linear, penalty, rho_2, logits


def _variables_of(parts, names):
    """The trainable variables of the layers of these names."""
    named = {part.name: part for part in parts}
    for name in names:
        if name not in named or not named[name].trainable_variables:
            known = ", ".join(name for name, part in named.items() if part.trainable_variables)
            raise InputError(f"the network has no layer {name!r} with weights; there are: {known}")
    return [variable for name in names for variable in named[name].trainable_variables]


def _parts(layer: keras.Layer) -> Iterator[keras.Layer]:
    """The layers that a network is made of, those inside other layers too, without the models that only hold them."""
    if isinstance(layer, keras.Model):
        held = layer.layers
    else:
        yield layer
        values = [value if isinstance(value, (list, tuple)) else [value] for value in vars(layer).values()]
        held = [part for value in values for part in value if isinstance(part, keras.Layer)]
    for part in held:
        yield from _parts(part)


def _has_training_mode(layer: keras.Layer) -> bool:
    """Whether a layer computes something else in training: by random draws or by moving statistics.

    Either is a variable of a layer that is told whether it trains. A mask is a variable, too, but not told; a dense
    layer is told, but has none.
    """
    return bool(layer.non_trainable_variables) and "training" in inspect.signature(layer.call).parameters
