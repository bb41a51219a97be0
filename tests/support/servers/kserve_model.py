"""KServe's own ModelServer with a SavedModel. Runs in an environment of its own (kserve_requirements.txt).

    python kserve_model.py --base=models/lenet --packages=SITE_PACKAGES --counted=FILE --http_port=8080

TensorFlow is taken from the packages of another environment, behind its own. Every answered request adds a line to the file: its number of images, and the seconds at which it began and
ended, of the machine's monotonic clock.
"""

import argparse
import pathlib
import sys
import time

import kserve
import numpy as np


class Served(kserve.Model):
    """serving_default of the highest version, by the v1 protocol and by v2."""

    def __init__(self, base, counted):
        import tensorflow as tf

        super().__init__("lenet")
        folder = max(
            (entry for entry in pathlib.Path(base).iterdir() if entry.name.isdecimal()), key=lambda path: int(path.name)
        )
        self._module, self._counted = tf.saved_model.load(str(folder)), counted
        self._signature = self._module.signatures["serving_default"]
        self._sizes = self._signature.structured_input_signature[1]["image"].shape[1:].as_list()
        self.ready = True

    async def get_input_types(self):
        """For v2 metadata."""
        return [{"name": "image", "datatype": "FP32", "shape": [-1, *self._sizes]}]

    async def get_output_types(self):
        """For v2 metadata."""
        return [{"name": "logits", "datatype": "FP32", "shape": [-1, 10]}]

    def predict(self, payload, headers=None):
        """Logits of a batch."""
        first, started = isinstance(payload, dict), time.monotonic()
        images = np.asarray(payload["instances"], "float32") if first else payload.inputs[0].as_numpy()
        logits = self._signature(image=images)["logits"].numpy()
        with open(self._counted, "a", encoding="utf-8") as file:
            file.write(f"{len(images)} {started} {time.monotonic()}\n")
        if first:
            return {"predictions": logits.tolist()}
        output = kserve.InferOutput("logits", list(logits.shape), "FP32")
        output.set_data_from_numpy(logits, binary_data=False)
        return kserve.InferResponse(payload.id, self.name, [output])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for flag in ("base", "packages", "counted", "http_port"):
        parser.add_argument(f"--{flag}", required=True)
    arguments = parser.parse_args()
    sys.path.append(arguments.packages)
    model = Served(arguments.base, arguments.counted)
    kserve.ModelServer(http_port=int(arguments.http_port), enable_grpc=False, workers=1).start([model])
