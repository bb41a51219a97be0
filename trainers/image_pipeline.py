"""From a stream of images of any size to batches of one size: for training, at random crops; else at the center."""

import dataclasses

import tensorflow as tf

from tfrobust.errors import InputError
from trainers.feeds import Feed
from trainers.image_streams import ImageStream

KEPT = 0.875  # of the shorter side, which the crop at the center takes: 224 of 256


@dataclasses.dataclass(frozen=True)
class StreamFeed(Feed):
    """What a training reads of a stream, in images of size x size.

    Attributes:
      stream: the images.
      size: pixels.
      batch_size: how many are classified at a time.
    """

    stream: ImageStream
    size: int
    batch_size: int = 50

    @property
    def examples(self):
        return self.stream.examples

    def training(self, config, first_epoch):
        """Each epoch in a new order; with `config.augment` at random crops, mirrored at random."""
        if config.batch_size > self.examples:
            raise InputError(f"a batch of {config.batch_size} is more than the {self.examples} examples")
        steps = self.examples // config.batch_size

        shuffled = self.stream.shuffled(config.seed)

        def epoch_of(epoch):
            return shuffled(epoch).take(steps * config.batch_size)

        def prepared(place, example):
            image, label = self.stream.decoded(example[0]), tf.cast(example[1], tf.int64)
            seed = tf.stack([tf.constant(config.seed, tf.int64), place])
            cropped = random_crop_and_flip(image, self.size, seed) if config.augment else center_crop(image, self.size)
            return cropped, label

        examples = tf.data.Dataset.range(first_epoch, config.epochs).flat_map(epoch_of)
        examples = examples.enumerate(start=first_epoch * steps * config.batch_size)
        batches = examples.map(prepared, tf.data.AUTOTUNE).batch(config.batch_size, drop_remainder=True)
        cardinality = tf.data.experimental.assert_cardinality((config.epochs - first_epoch) * steps)
        return _by_batches(batches.apply(cardinality).prefetch(tf.data.AUTOTUNE))

    def batches(self):
        def prepared(stored, label):
            return center_crop(self.stream.decoded(stored), self.size), tf.cast(label, tf.int64)

        batches = self.stream.in_order().map(prepared, tf.data.AUTOTUNE).batch(self.batch_size)
        return _by_batches(batches.prefetch(tf.data.AUTOTUNE))


def _by_batches(dataset):
    """Of several workers each takes its share of every batch, not of the files."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)


def random_crop_and_flip(image, size: int, seed):
    """A random part of 8 % to 100 % of the area, of aspect 3/4 to 4/3, resized and mirrored at random.

    Szegedy et al., CVPR 2015, as He et al., CVPR 2016, train.

    Args:
      image: uint8 [height, width, channels].
      size: pixels of the result.
      seed: int64 [2]; the same seed gives the same part.

    Returns:
      float32 [size, size, channels] in [0, 1].
    """
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.shape(image),
        tf.zeros([0, 0, 4], tf.float32),
        seed=seed,
        aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=(0.08, 1.0),
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    part = tf.slice(image, begin, extent)
    part = tf.image.stateless_random_flip_left_right(_resized(part, (size, size)), seed + 1)
    return tf.ensure_shape(part, [size, size, image.shape[-1]])


def center_crop(image, size: int):
    """The center of an image whose shorter side is resized to size / 0.875; an image of size x size stays as it is.

    Args:
      image: uint8 [height, width, channels].
      size: pixels of the result.

    Returns:
      float32 [size, size, channels] in [0, 1].
    """

    def cropped():
        sides = tf.cast(tf.shape(image)[:2], tf.float32)
        shorter = round(size / KEPT)
        sides = tf.cast(tf.round(sides * shorter / tf.reduce_min(sides)), tf.int32)
        top, left = (sides[0] - size) // 2, (sides[1] - size) // 2
        return _resized(image, sides)[top : top + size, left : left + size]

    fits = tf.reduce_all(tf.shape(image)[:2] == size)
    result = tf.cond(fits, lambda: tf.cast(image, tf.float32) / 255.0, cropped)
    return tf.ensure_shape(result, [size, size, image.shape[-1]])


def _resized(image, sides):
    """Bilinear, the pixels of a larger image averaged."""
    return tf.clip_by_value(tf.image.resize(image, sides, antialias=True) / 255.0, 0.0, 1.0)
