"""What a served model answers: functions from requests to named tensors, which become the signatures of its SavedModel."""

import keras
import tensorflow as tf

import tfrobust as tfr

Answers = dict[str, tf.Tensor]


class Signatures:
    """The signatures of a Keras model from images to logits.

    A server checks neither what a request holds against its signature nor, by all of its kernels, what it computes with:
    that the shapes are those is asked for here.

    Args:
      model: images [batch, height, width, channels] in [0, 1] -> logits [batch, classes].
      names: a table from a class to its name, or None.
    """

    def __init__(self, model: keras.Model, names: tf.lookup.StaticHashTable | None = None):
        self._model, self._names = model, names
        self._size, self._channels = tuple(model.input_shape[1:3]), model.input_shape[3]

    def add_to(self, archive: keras.export.ExportArchive, loss_and_gradient: bool) -> None:
        """Adds `serve`, the default one, `serve_bytes` and, where it is wanted, `loss_and_gradient`."""
        images = tf.TensorSpec([None, *self._size, self._channels], tf.float32, name="image")
        archive.add_endpoint("serve", self.serve, [images])
        archive.add_endpoint("serve_bytes", self.serve_bytes, [tf.TensorSpec([None], tf.string, name="image_bytes")])
        if loss_and_gradient:
            labels = tf.TensorSpec([None], tf.int64, name="label")
            archive.add_endpoint("loss_and_gradient", self.loss_and_gradient, [images, labels])

    def serve(self, image: tf.Tensor) -> Answers:
        """float32 images in [0, 1] -> logits, probabilities, classes and, where they are known, class_names."""
        image = tf.ensure_shape(image, [None, *self._size, self._channels])
        logits = tf.cast(self._model(image, training=False), tf.float32)
        classes = tf.argmax(logits, axis=1)
        answers = {"logits": logits, "probabilities": tf.nn.softmax(logits), "classes": classes}
        return answers if self._names is None else {**answers, "class_names": self._names.lookup(classes)}

    def serve_bytes(self, image_bytes: tf.Tensor) -> Answers:
        """PNG or JPEG files, string [batch] -> the same."""

        def decode(contents):
            with tf.control_dependencies(_checks(contents, self._channels)):
                image = tfr.data.decode(contents, self._channels)
            return tfr.data.fit(image, self._size)

        pixels = tf.map_fn(decode, tf.ensure_shape(image_bytes, [None]), fn_output_signature=tf.uint8)
        return self.serve(tf.cast(pixels, tf.float32) / 255.0)

    def loss_and_gradient(self, image: tf.Tensor, label: tf.Tensor) -> Answers:
        """Images and int64 labels [batch] -> the cross-entropy [batch], and its gradient with respect to each image."""
        with tf.GradientTape() as tape:
            tape.watch(image)
            loss = tfr.objectives.cross_entropy(self.serve(image)["logits"], tf.ensure_shape(label, [None]))
        return {"loss": loss, "gradient": tape.gradient(loss, image)}


def _checks(contents, channels):
    """Operations that fail for a file that would lose something: half of its bits, or its colors."""
    head = tf.strings.join([contents, b"\0" * 32])  # of any length
    is_png = tf.strings.substr(head, 0, 4) == b"\x89PNG"
    deep = is_png & (tf.strings.substr(head, 24, 1) == b"\x10")
    checks = [tf.debugging.Assert(~deep, ["PNG files of 16 bits are not taken: store 8 bits"])]
    if channels == 1:
        found = tf.shape(tfr.data.decode(contents))[2]
        gray = ["the model takes gray images, but this file has colors"]
        checks.append(tf.debugging.Assert((found == 1) | (is_png & (found == 2)), gray))
    return checks
