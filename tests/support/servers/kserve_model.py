"""KServe's own ModelServer with a `.tflite` file. Runs in an environment of its own (kserve_requirements.txt).

python kserve_model.py FILE.tflite --http_port=8080 --grpc_port=0
"""

import argparse
import sys

import kserve
import numpy as np
from ai_edge_litert.interpreter import Interpreter


class File(kserve.Model):
    """Its first input and output, by the v1 protocol and by v2."""

    def __init__(self, path):
        super().__init__("lenet")
        self._interpreter = Interpreter(model_path=path, num_threads=1)
        self.ready = True

    async def get_input_types(self):
        """For v2 metadata."""
        return [{"name": "image", "datatype": "FP32", "shape": [-1, *self._sizes()]}]

    async def get_output_types(self):
        """For v2 metadata."""
        return [{"name": "logits", "datatype": "FP32", "shape": [-1, 10]}]

    def _sizes(self):
        return self._interpreter.get_input_details()[0]["shape"][1:].tolist()

    def predict(self, payload, headers=None):
        """Logits of a batch."""
        first = isinstance(payload, dict)
        images = np.asarray(payload["instances"], "float32") if first else payload.inputs[0].as_numpy()
        details = self._interpreter.get_input_details()[0]
        self._interpreter.resize_tensor_input(details["index"], images.shape)
        self._interpreter.allocate_tensors()
        self._interpreter.set_tensor(details["index"], images)
        self._interpreter.invoke()
        logits = self._interpreter.get_tensor(self._interpreter.get_output_details()[0]["index"])
        if first:
            return {"predictions": logits.tolist()}
        output = kserve.InferOutput("logits", list(logits.shape), "FP32")
        output.set_data_from_numpy(logits, binary_data=False)
        return kserve.InferResponse(payload.id, self.name, [output])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[kserve.model_server.parser])
    arguments, _ = parser.parse_known_args(sys.argv[2:])
    kserve.ModelServer(http_port=arguments.http_port, enable_grpc=False, workers=1).start([File(sys.argv[1])])
