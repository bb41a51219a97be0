"""A fixed adversarial training set: every training image and what an attack made of it before the training, once."""

import dataclasses
import pathlib
from typing import TYPE_CHECKING

import tfrobust as tfr
from tfrobust import files
from tfrobust.errors import InputError
from trainers.defense import DefenseConfig
from trainers.feeds import Feed, SplitFeed

if TYPE_CHECKING:  # `--help` does not wait for them
    import keras
    import numpy as np

NAME = "adversarial_set.npz"  # in the workdir
_BATCH = 200


@dataclasses.dataclass(frozen=True)
class ExtendedFeed(Feed):
    """The examples of a feed and as many adversarial ones, as DeepFool's paper trains (Moosavi-Dezfooli et al., CVPR 2016).

    Deep Defense compares itself with it as "Adv. Train I". The images are made when the training begins, and kept in its
    workdir, so that a run that was killed does not make them again.

    Attributes:
      feed: of examples in memory.
      network: on which the images are made, as it is when the training begins.
      attack: a text, such as "deepfool()".
    """

    feed: SplitFeed
    network: "keras.Model"
    attack: str

    @property
    def examples(self):
        return 2 * self.feed.examples

    @property
    def batch_size(self):
        return self.feed.batch_size

    def training(self, config, first_epoch):
        import numpy as np

        split, made = self.feed.split, self._made(config.workdir / NAME, config.seed)
        images = np.concatenate([split.floats(), made])
        both = tfr.data.Split(images, np.concatenate([split.labels, split.labels]), split.classes)
        return SplitFeed(both).training(config, first_epoch)

    def batches(self):
        return self.feed.batches()

    def _made(self, path: pathlib.Path, seed: int) -> "np.ndarray":
        import numpy as np

        if not path.exists():
            print(f"{path}: {self.attack} makes {self.feed.examples:,} images", flush=True)
            made = adversarial_images(self.network, self.attack, self.feed.split, seed)
            with files.written(path) as temporary, open(temporary, "wb") as file:
                np.savez(file, images=made)
        return tfr.data.read_arrays(path)["images"]


def training_feed(feed: Feed, network: "keras.Model", config: DefenseConfig) -> Feed:
    """What a defense is trained on: the feed itself, or one with a fixed set of adversarial images.

    Raises:
      InputError: for such a set of examples that do not fit into memory.
    """
    if config.kind != "adversarial_set":
        return feed
    if not isinstance(feed, SplitFeed):
        raise InputError(
            "--defense=adversarial_set keeps all images in memory: take --defense=adversarial_training for these data"
        )
    return ExtendedFeed(feed, network, config.training_attack)


def adversarial_images(network: "keras.Model", attack: str, split: "tfr.data.Split", seed: int) -> "np.ndarray":
    """What an attack makes of all images: float32 like them; the image itself where it is misclassified or not broken."""
    import numpy as np
    import tensorflow as tf
    import tqdm

    parsed = tfr.attacks.parse(attack)

    @tf.function(autograph=False)
    def run(images, labels, keys):
        return parsed(lambda x: network(x, training=False), images, labels, seed=keys)

    made = np.empty(split.images.shape, "float32")
    padded = tfr.evaluation.batches.padded(_BATCH, np.arange(len(made)))
    with tqdm.tqdm(total=len(made), desc=str(parsed), unit="image", disable=None) as bar:
        for rows, count in padded:
            keys = tfr.seeds.per_example(seed, rows)
            found = run(tf.constant(split.floats(rows)), tf.constant(split.labels[rows]), keys)
            made[rows[:count]] = found.numpy()[:count]
            bar.update(count)
    return made
