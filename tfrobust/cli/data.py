"""The flags that say where data is."""

import dataclasses

from absl import flags

import tfrobust as tfr

DATA_DIR = flags.DEFINE_string("data_dir", None, "TFDS data directory; default: TFDS_DATA_DIR, else TFDS' own.")
DOWNLOAD = flags.DEFINE_bool("download", True, "Whether missing data may be downloaded.")


@dataclasses.dataclass(frozen=True)
class DataSource:
    """Where data sets are read from.

    Attributes:
      data_dir: TFDS' data directory; None: `TFDS_DATA_DIR`, else TFDS' own.
      download: whether missing data may be downloaded.
    """

    data_dir: str | None = None
    download: bool = True

    def load(self, name: str, split: str) -> "tfr.data.Split":
        """The split of a data set: see `tfrobust.data.load`."""
        return tfr.data.load(name, split, data_dir=self.data_dir, download=self.download)


def from_flags() -> DataSource:
    """What --data_dir and --download say."""
    return DataSource(DATA_DIR.value, DOWNLOAD.value)
