"""How near a TFLite file's differentiable graph is to what XNNPACK computes, beside LiteRT's own kernels.

    python -m benchmarks.tflite_graph --file=lenet_int8.tflite --file=lenet_float32.tflite --dataset=mnist --examples=200

Of each file's outputs: how many are within one quantum of XNNPACK's (for floats: the largest difference), of the graph and of the
builtin kernels, and how often the two predict the same.
"""

from absl import flags

import tfrobust as tfr
from tfrobust.cli import data, program

FILE = flags.DEFINE_multi_string("file", None, "TFLite files.", required=True)
DATASET = flags.DEFINE_string("dataset", "digits", "Where the images come from: the first test images.")
EXAMPLES = flags.DEFINE_integer("examples", 200, "How many.", lower_bound=1)


def main():
    import numpy as np

    from tfrobust.evaluation import batches
    from tfrobust.evaluation.predictor import Predictor

    source = data.from_flags()
    print(f"{'file':40}{'output':>9}{'graph':>24}{'builtin kernels':>24}")
    for path in FILE.value:
        xnnpack = tfr.targets.TFLiteTarget(path)
        images = source.load(DATASET.value, "test", EXAMPLES.value, channels=xnnpack.input_shape[-1]).floats()
        size = min(batches.default_size(images.shape[1:]), len(images))
        expected = Predictor(xnnpack, size).answers(images)
        scale = quantum(xnnpack)
        cells = []
        for other in (xnnpack.graph, xnnpack.rerun(threads=1, xnnpack=False)):
            try:
                found = Predictor(other, size).answers(images)
            except tfr.InputError as error:
                cells.append(str(error)[:22])
                continue
            difference, same = np.abs(found - expected), (found.argmax(1) == expected.argmax(1)).mean()
            near = f"{np.mean(difference < 1.01 * scale):.2%}" if scale else f"{difference.max():.1e}"
            cells.append(f"{near}, {same:.1%} same")
        print(f"{path[-39:]:40}{f'{scale:.3g}' if scale else 'float':>9}{cells[0]:>24}{cells[1]:>24}", flush=True)


def quantum(target):
    """What one step of the output stands for; 0 of floats."""
    file = target.file
    index = file.scores(None)
    maker = next((one for one in file.operations if index in one.outputs), None)
    if file.tensors[index].quantization is None and maker is not None and maker.kind == "DEQUANTIZE":
        index = maker.inputs[0]
    quantization = file.tensors[index].quantization
    return 0.0 if quantization is None else float(quantization.scale[0])


flags.adopt_module_key_flags(data)

if __name__ == "__main__":
    program.run(main)
