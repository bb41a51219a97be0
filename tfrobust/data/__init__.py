"""Data: what users bring, in memory as 8-bit images or floats in [0, 1], and pipelines that feed networks."""

from tfrobust.data.archive import read_arrays
from tfrobust.data.checks import check_images
from tfrobust.data.class_folders import ImageFiles, list_images, training_and_test_images
from tfrobust.data.given import ImagesLike, arrays
from tfrobust.data.image_files import decode, fit
from tfrobust.data.pipelines import batches, pad_crop_flip, training_batches
from tfrobust.data.sources import DATASETS, load
from tfrobust.data.split import Split, floats

__all__ = [
    "DATASETS",
    "ImageFiles",
    "ImagesLike",
    "Split",
    "arrays",
    "batches",
    "check_images",
    "decode",
    "fit",
    "floats",
    "list_images",
    "load",
    "pad_crop_flip",
    "read_arrays",
    "training_and_test_images",
    "training_batches",
]
