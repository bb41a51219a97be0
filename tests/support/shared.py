"""Where the reference data is: `TFROBUST_SHARED`, else ../shared beside the checkout. Tests that need it skip elsewhere."""

import os
import pathlib

import numpy as np
import pytest

FOLDER = pathlib.Path(os.environ.get("TFROBUST_SHARED", pathlib.Path(__file__).parents[3] / "shared"))
GOLDEN = FOLDER / "golden"
DATA_DIR = FOLDER / "tensorflow_datasets"

WHOLE = bool(os.environ.get("TFROBUST_WHOLE_GOLDEN"))  # slow comparisons with all that a file holds, or with a part
GOLDEN_IMAGES = 100 if WHOLE else 50

needs_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason=f"needs {GOLDEN}; set TFROBUST_SHARED")
needs_data = pytest.mark.skipif(not DATA_DIR.is_dir(), reason=f"needs {DATA_DIR}; set TFROBUST_SHARED")


def golden(name):
    """The arrays of a reference file, its uint8 images as float32 [batch, 28, 28, 1] in [0, 1]."""
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        found = dict(arrays)
    if "images" in found:
        found["images"] = found["images"][..., None].astype("float32") / np.float32(255)
        found["labels"] = found["labels"].astype("int32")
    return found


def golden_balls():
    """The balls of the original AutoAttack's file that are compared."""
    from tfrobust import balls

    more = [balls.Linf(0.1), balls.L2(1.0), balls.L1(10.0)]
    return [balls.Linf(0.15), balls.L2(1.5), balls.L1(8.0), *(more if WHOLE else [])]


def survives_original(ball, attack):
    """Which of the 100 images the original AutoAttack, or a part of it, left on `reference_lenet`: bool [100]."""
    from tfrobust import balls

    file = "autoattack_l1_lenet_mnist" if isinstance(ball, balls.L1) else "autoattack_lenet_mnist"
    return golden(file)[f"{type(ball).__name__}:{ball.radius}:{attack}"]


def reference_lenet():
    """The LeNet that Deep Defense starts from."""
    from tfrobust import models

    weights = golden("lenet_mnist")
    network = models.lenet(mean=weights["mean_image"][..., None] / 255, std=1 / 255)
    for name in ("conv1", "conv2", "fc1", "fc2"):
        network.get_layer(name).set_weights([weights[f"{name}_kernel"], weights[f"{name}_bias"]])
    return network
