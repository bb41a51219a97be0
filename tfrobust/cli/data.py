"""The flags that say where data is."""

import dataclasses

from absl import flags

import tfrobust as tfr
from tfrobust.errors import InputError

DATA_DIR = flags.DEFINE_string("data_dir", None, "TFDS data directory; default: TFDS_DATA_DIR, else TFDS' own.")
TEST_SPLIT = flags.DEFINE_string(
    "test_split",
    None,
    "TFDS split of the test images, such as train[80%:]; default: test, else validation. held_out: of a folder, what "
    "trainers.imagenet tests on.",
)
IMAGE_SIZE = flags.DEFINE_list(
    "image_size",
    None,
    "HEIGHT,WIDTH to which image files and TFDS images are cropped and resized; default: not at all.",
)
DOWNLOAD = flags.DEFINE_bool("download", True, "Whether missing data may be downloaded.")


@dataclasses.dataclass(frozen=True)
class DataSource:
    """Where data sets are read from.

    Attributes:
      data_dir: TFDS' data directory; None: `TFDS_DATA_DIR`, else TFDS' own.
      download: whether missing data may be downloaded.
      test_split: what TFDS takes for "test", or None.
      image_size: (height, width) to which image files and TFDS images are brought, or None.
    """

    data_dir: str | None = None
    download: bool = True
    test_split: str | None = dataclasses.field(default=None, repr=False)
    image_size: tuple[int, int] | None = dataclasses.field(default=None, repr=False)

    def load(self, name: str, split: str, examples: int | None = None, **form) -> "tfr.data.Split":
        """The split of a data set: see `tfrobust.data.load`, which `form` is passed to."""
        if split == "test":
            split = self.test_split or split
        return tfr.data.load(
            name,
            split,
            self.data_dir,
            self.download,
            examples=examples,
            size=self.image_size,
            **form,
        )


def from_flags() -> DataSource:
    """What the flags of this module say.

    Raises:
      InputError: for an --image_size that is not one or two numbers of pixels.
    """
    return DataSource(DATA_DIR.value, DOWNLOAD.value, TEST_SPLIT.value, _image_size(IMAGE_SIZE.value))


def _image_size(texts):
    if not texts:
        return None
    if len(texts) > 2 or not all(text.strip().isdecimal() and int(text) for text in texts):
        raise InputError(f"--image_size must be HEIGHT,WIDTH in pixels, such as 224,224, got {','.join(texts)}")
    return int(texts[0]), int(texts[-1])
