"""Callbacks for `fit`."""

import math
import os
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tqdm

from tfrobust import attacks, data, layers, seeds
from tfrobust.evaluation import batches, metrics

_CHECKED, _DROP = "checked_robust_accuracy", 0.2
_SHOWN = 8  # pictures of an epoch


class EpochLines(keras.callbacks.Callback):
    """Prints a line for each epoch, for logs: each number, and that of the validation data in parentheses.

    Give it last, so that it prints what the others log, and `verbose=0`. What is wider than 100 columns is broken.

    Args:
      seconds: between two lines at least: of shorter epochs some have none. The last one always has.

    Example:
      >>> model.fit(images, labels, validation_split=0.1, verbose=0, callbacks=[EpochLines()])
      Epoch 1/1: 3 s, accuracy 0.9121 (0.9437), loss 0.2974 (0.1892)
    """

    def __init__(self, seconds: float = 0.0):
        super().__init__()
        self.seconds = seconds
        self._printed = -math.inf

    def on_epoch_begin(self, epoch, logs=None):
        self._started = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 < self.params["epochs"] and time.monotonic() - self._printed < self.seconds:
            return
        self._printed = time.monotonic()
        logs, numbers = logs or {}, []
        for name, value in logs.items():
            of_validation = f"val_{name}"
            if of_validation in logs:
                numbers.append(f"{name} {value:.4g} ({logs[of_validation]:.4g})")
            elif not (name.startswith("val_") and name.removeprefix("val_") in logs):
                numbers.append(f"{name} {value:.4g}")
        seconds = time.monotonic() - self._started
        line = f"Epoch {epoch + 1}/{self.params['epochs']}: {', '.join([f'{seconds:.0f} s', *numbers])}"
        # Above a progress bar, if there is one.
        tqdm.tqdm.write("\n".join(textwrap.wrap(line, 100, subsequent_indent="  ")))
        sys.stdout.flush()


class RobustAccuracy(keras.callbacks.Callback):
    """Logs the accuracy under an attack after each epoch: in the history and for the callbacks after it in the list.

    Give it before `keras.callbacks.TensorBoard`, which then shows it as `epoch_robust_accuracy`, and before
    `EarlyStopping` or `ModelCheckpoint`, which can watch it.

    Args:
      attack: an attack or its text. The model is attacked as it is at inference.
      images: float32 [examples, height, width, channels] in [0, 1].
      labels: int [examples].
      name: of what is logged.
      every: epochs from one attack to the next.
      batch_size: images attacked at a time.
      seed: of the attack's random draws, the same each time.
      log_dir: TensorBoard's folder, which then also shows what the attack makes of the first images: clean, adversarial, and
        ten times the difference on gray, in a row for each; None: no pictures.

    Raises:
      InputError: for images that are not in [0, 1], or labels that do not match.

    Example:
      >>> watch = RobustAccuracy("pgd(linf(8/255))", test_images[:500], test_labels[:500], log_dir="logs")
      >>> model.fit(images, labels, callbacks=[watch, keras.callbacks.TensorBoard("logs")])
    """

    def __init__(
        self,
        attack: attacks.Attack | str,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        name: str = "robust_accuracy",
        every: int = 1,
        batch_size: int = 100,
        seed: int = 0,
        log_dir: str | os.PathLike | None = None,
    ):
        super().__init__()
        data.check_images(images, labels)
        self.log_dir = log_dir
        self.attack = attacks.parse(attack) if isinstance(attack, str) else attack
        self.name, self.every, self.seed = name, every, seed
        self._images, self._labels = np.asarray(images, "float32"), np.asarray(labels)
        self._batch_size = min(batch_size, len(images))

    def on_train_begin(self, logs=None):
        @tf.function(autograph=False)
        def attacked(images, labels, keys):
            def logits_fn(x):
                return self.model(x, training=False)

            adversarial = self.attack(logits_fn, images, labels, seed=keys)
            return tf.argmax(logits_fn(adversarial), axis=1, output_type=labels.dtype) == labels, adversarial

        self._attacked = attacked

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0 and logs is not None:
            logs[self.name] = self.measured()
            if self.log_dir is not None:
                self._show(epoch, self.log_dir)

    def measured(self) -> float:
        """The accuracy under the attack, as the model is now."""
        hits = 0
        for rows, count in batches.padded(self._batch_size, np.arange(len(self._images))):
            keys = seeds.per_example(self.seed, rows)
            correct, adversarial = self._attacked(
                tf.constant(self._images[rows]), tf.constant(self._labels[rows]), keys
            )
            hits += int(correct.numpy()[:count].sum())
            if rows[0] == 0:
                self._shown = adversarial[: min(count, _SHOWN)]
        return hits / len(self._images)

    def _show(self, epoch, log_dir):
        clean = self._images[: len(self._shown)]
        rows = tf.concat([clean, self._shown, 0.5 + 5.0 * (self._shown - clean)], axis=2)
        with tf.summary.create_file_writer(os.path.join(log_dir, "attack")).as_default():
            tf.summary.image(f"{self.name}: clean, adversarial, difference x 10", rows, epoch, max_outputs=_SHOWN)


class Perturbations(keras.callbacks.Callback):
    """Logs how far DeepFool has to go after each epoch: the mean `rho_2` and `l2` of some images.

    Deep Defense, figure 2: rho_2 on the test images while the network trains. Give it before callbacks that use the logs.

    Args:
      images: float32 [examples, height, width, channels] in [0, 1].
      labels: int [examples].
      every: epochs from one measurement to the next.
      **options: of `evaluation.metrics.deepfool_rho_2`, such as steps; the origin is the network's.

    Raises:
      InputError: for images that are not in [0, 1], or labels that do not match.

    Example:
      >>> model.fit(images, labels, epochs=5, callbacks=[Perturbations(test_images[:1000], test_labels[:1000])])
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, *, every: int = 1, **options: Any):
        super().__init__()
        data.check_images(images, labels)
        self._images, self._labels = np.asarray(images, "float32"), np.asarray(labels)
        self.every, self._options = every, options

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0 and logs is not None:
            found = metrics.deepfool_rho_2(
                lambda x: self.model(x, training=False),
                self._images,
                self._labels,
                **{"origin": layers.origin(self.model), **self._options},
            )
            logs["rho_2"], logs["l2"] = (float(values.mean()) for values in found)


class CatastrophicOverfitting(RobustAccuracy):
    """Stops a training on attacks of one step when it collapses: from one epoch to the next, a stronger attack breaks all.

    The weights from before that epoch are put back. Wong, Rice and Kolter, ICLR 2020, section 5.4; their code stops where
    the accuracy under PGD of a batch of training images falls by 0.2. Give it before callbacks that save.

    Args:
      attack: of several steps, or its text.
      images, labels, every, batch_size, seed: as of `RobustAccuracy`; a hundred training images are enough.
      drop: of the accuracy from one measurement to the next, at which the training stops.

    Example:
      >>> check = CatastrophicOverfitting("pgd(linf(8/255), steps=5)", train_images[:200], train_labels[:200])
      >>> model.fit(train_images, train_labels, epochs=30, callbacks=[check])
    """

    def __init__(
        self,
        attack: attacks.Attack | str,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        drop: float = _DROP,
        **options: Any,
    ):
        super().__init__(attack, images, labels, **{"name": _CHECKED, **options})
        self.drop = drop

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._last, self._weights = self.measured(), self.model.get_weights()

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if not logs or self.name not in logs:
            return
        if logs[self.name] < self._last - self.drop:
            tqdm.tqdm.write(
                f"epoch {epoch + 1}: the accuracy under {self.attack} fell from {self._last:.0%} to "
                f"{logs[self.name]:.0%}, which is catastrophic overfitting: training ends with the weights from before",
                file=sys.stderr,
            )
            self.model.set_weights(self._weights)
            self.model.stop_training = True
        self._last, self._weights = logs[self.name], self.model.get_weights()

    @staticmethod
    def in_history(history: Sequence[Mapping[str, float]], drop: float = _DROP) -> bool:
        """Whether a history, a list of epochs' logs, ends with such a fall."""
        found = [epoch.get(_CHECKED) for epoch in history[-2:]]
        if len(found) < 2 or found[0] is None or found[1] is None:
            return False
        return found[1] < found[0] - drop
