"""Callbacks for `fit`."""

import keras
import numpy as np
import tensorflow as tf

from tfrobust import attacks, data, seeds
from tfrobust.evaluation import batches


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

    Raises:
      InputError: for images that are not in [0, 1], or labels that do not match.

    Example:
      >>> watch = RobustAccuracy("pgd(linf(8/255))", test_images[:500], test_labels[:500])
      >>> model.fit(images, labels, callbacks=[watch, keras.callbacks.TensorBoard("logs")])
    """

    def __init__(self, attack, images, labels, *, name="robust_accuracy", every=1, batch_size=100, seed=0):
        super().__init__()
        data.check_images(images, labels)
        self.attack = attacks.parse(attack) if isinstance(attack, str) else attack
        self.name, self.every, self.seed = name, every, seed
        self._images, self._labels = np.asarray(images, "float32"), np.asarray(labels)
        self._batch_size = min(batch_size, len(images))

    def on_train_begin(self, logs=None):
        @tf.function(autograph=False)
        def correct(images, labels, keys):
            def logits_fn(x):
                return self.model(x, training=False)

            adversarial = self.attack(logits_fn, images, labels, seed=keys)
            return tf.argmax(logits_fn(adversarial), axis=1, output_type=labels.dtype) == labels

        self._correct = correct

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every or logs is None:
            return
        hits = 0
        for rows, count in batches.padded(self._batch_size, np.arange(len(self._images))):
            keys = seeds.per_example(self.seed, rows)
            found = self._correct(tf.constant(self._images[rows]), tf.constant(self._labels[rows]), keys)
            hits += int(found.numpy()[:count].sum())
        logs[self.name] = hits / len(self._images)
