"""The only gradient tapes that attacks use.

`logits_fn` maps images [batch, height, width, channels] to logits [batch, classes]. Everything here is itself
differentiable, so a defence can train through it.
"""

import tensorflow as tf


def value_and_gradient(objective, logits_fn, images, labels):
    """One forward and one backward pass.

    Args:
      objective: a function from `objectives`.
      logits_fn: images -> logits.
      images: float32 [batch, height, width, channels].
      labels: int [batch].

    Returns:
      (value float32 [batch], gradient of each example's value with respect to its own image).
    """
    images = tf.convert_to_tensor(images)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        value = objective(logits_fn(images), labels)
    return value, tape.gradient(value, images)


def logits_and_pullback(logits_fn, images):
    """One forward pass, and a function that runs backward passes through it.

    Returns:
      (logits [batch, classes], pullback), where `pullback(weights [batch, classes])` is the gradient of
      `sum_k weights_k * logits_k` with respect to each image. Call it as often as needed: class gradients are
      `pullback(one_hot(k))`, a boundary's normal is `pullback(one_hot(k) - one_hot(label))`.
    """
    images = tf.convert_to_tensor(images)
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(images)
        logits = logits_fn(images)

    def pullback(weights):
        return tape.gradient(logits, images, output_gradients=weights)

    return logits, pullback
