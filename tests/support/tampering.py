"""TFLite files that were changed: what a conformance test has to find."""

import pathlib

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils


def rewritten(path, target_path, change) -> pathlib.Path:
    """A copy of a file that a function has changed in place: `change(schema.ModelT)`."""
    file = schema.ModelT.InitFromPackedBuf(bytearray(pathlib.Path(path).read_bytes()), 0)
    change(file)
    target_path.write_bytes(bytes(flatbuffer_utils.convert_object_to_bytearray(file)))
    return target_path


def weights(file):
    """The tensors of the weights, convolutions first."""
    graph = file.subgraphs[0]
    kinds = (schema.BuiltinOperator.CONV_2D, schema.BuiltinOperator.FULLY_CONNECTED)
    read = [one for kind in kinds for one in graph.operators if file.operatorCodes[one.opcodeIndex].builtinCode == kind]
    return [graph.tensors[one.inputs[1]] for one in read]


def scaled(layer):
    """5 % more in one layer: its scales, in a quantized file."""

    def change(file):
        tensor = weights(file)[layer]
        if tensor.quantization.scale is None:
            values = np.asarray(file.buffers[tensor.buffer].data, "uint8").view("float32") * np.float32(1.05)
            file.buffers[tensor.buffer].data = values.view("uint8")
        else:
            tensor.quantization.scale = [1.05 * scale for scale in tensor.quantization.scale]

    return change


def without_a_filter(file):
    """One filter of the second layer is zero."""
    tensor = weights(file)[1]
    values = np.array(file.buffers[tensor.buffer].data, "uint8").reshape(tensor.shape[0], -1)
    values[3] = 0
    file.buffers[tensor.buffer].data = values.ravel()
