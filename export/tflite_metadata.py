"""What a TFLite file says of itself: names of its input and output, TFLite's metadata, and the names of the classes.

The metadata is the entry TFLITE_METADATA (tflite/metadata_schema.fbs), which Android Studio and MediaPipe read. No package
that is still kept writes it, so its few tables are packed here. The names of the classes are a file in a zip archive behind
the model, as that schema has it; the interpreter does not see it.
"""

import io
import zipfile
from collections.abc import Sequence

INPUT, OUTPUT, SIGNATURE = "image", "logits", "serving_default"
LABELS = "labels.txt"
_IMAGE_PROPERTIES, _NORMALIZATION_OPTIONS = 2, 1  # members of the unions ContentProperties and ProcessUnitOptions
_RGB, _GRAYSCALE, _TENSOR_AXIS_LABELS = 1, 2, 2


def described(contents: bytes, description: str, class_names: Sequence[str] | None = None) -> bytes:
    """The bytes of a file whose tensors and signature are called as above, with metadata.

    Args:
      contents: of a `.tflite` file with one input, images in [0, 1], and one output.
      description: a sentence for the metadata.
      class_names: of all classes in their order.

    Example:
      >>> zipfile.ZipFile("lenet.tflite").read("labels.txt").decode().splitlines()[:2]
      ['zero', 'one']
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model = schema.ModelT.InitFromPackedBuf(bytearray(contents), 0)
    graph = model.subgraphs[0]
    (given,), (scores,) = graph.inputs, graph.outputs
    graph.tensors[given].name, graph.tensors[scores].name = INPUT.encode(), OUTPUT.encode()
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE.encode(), 0
    signature.inputs, signature.outputs = [], []
    for ends, name, index in ((signature.inputs, INPUT, given), (signature.outputs, OUTPUT, scores)):
        ends.append(schema.TensorMapT())
        ends[0].name, ends[0].tensorIndex = name.encode(), index
    model.signatureDefs = [signature]
    entry, buffer = schema.MetadataT(), schema.BufferT()
    entry.name, entry.buffer = b"TFLITE_METADATA", len(model.buffers)
    channels = int(graph.tensors[given].shape[-1])
    buffer.data = list(_metadata(description, channels, LABELS if class_names else None))
    model.metadata, model.buffers = [*(model.metadata or []), entry], [*model.buffers, buffer]
    return _with_labels(bytes(flatbuffer_utils.convert_object_to_bytearray(model)), class_names)


def _with_labels(contents, class_names):
    if not class_names:
        return contents
    file = io.BytesIO(contents)
    with zipfile.ZipFile(file, "a") as archive:  # of a fixed date, so that equal files are equal
        archive.writestr(zipfile.ZipInfo(LABELS), "\n".join(class_names) + "\n")
    return file.getvalue()


def _metadata(description, channels, labels) -> bytes:
    """The flatbuffer ModelMetadata of a classifier of images; fields are given by their places in the schema's tables."""
    import flatbuffers

    builder = flatbuffers.Builder()

    def table(fields):
        """A table of strings, bytes, floats and offsets of what was built before, by their places."""
        offsets = {
            place: builder.CreateString(value) if isinstance(value, str) else value for place, value in fields.items()
        }
        builder.StartObject(max(fields) + 1)
        for place, value in offsets.items():
            if isinstance(value, _Byte):
                builder.PrependUint8Slot(place, value, 0)
            else:
                builder.PrependUOffsetTRelativeSlot(place, value, 0)
        return builder.EndObject()

    def vector(items):
        builder.StartVector(4, len(items), 4)
        for item in reversed(items):
            builder.PrependUOffsetTRelative(item)
        return builder.EndVector()

    def floats(*values):
        builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            builder.PrependFloat32(value)
        return builder.EndVector()

    # (pixel - 0) / 255, as the schema's NormalizationOptions count: images are in [0, 1].
    normalization = table({0: _Byte(_NORMALIZATION_OPTIONS), 1: table({0: floats(0.0), 1: floats(255.0)})})
    colors = {1: _GRAYSCALE, 3: _RGB}.get(channels, 0)
    content = table({0: _Byte(_IMAGE_PROPERTIES), 1: table({0: _Byte(colors)})})
    image = table({0: INPUT, 1: "images in [0, 1]", 3: content, 4: vector([normalization])})
    scores = {0: OUTPUT, 1: "a score for each class; softmax makes them probabilities"}
    if labels:
        scores[6] = vector([table({0: labels, 1: "a line for each class", 2: _Byte(_TENSOR_AXIS_LABELS)})])
    subgraph = table({2: vector([image]), 3: vector([table(scores)])})
    builder.Finish(table({0: "tfrobust", 1: description, 3: vector([subgraph]), 7: "1.0.0"}), file_identifier=b"M001")
    return bytes(builder.Output())


class _Byte(int):
    """A number of one byte in a table."""
