"""What a model's graph holds that an evaluation should know of: loops, gradients and random numbers at inference."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf

_RANDOM = re.compile(
    r"(Random(?!ShuffleQueue)|Multinomial|TruncatedNormal|ParameterizedTruncatedNormal|RngReadAndSkip)"
)
_LOOP = re.compile(r"(Stateless)?While$|^Enter$")
_GRADIENT = re.compile(
    r"Grad(V\d)?$|BackpropFilter|BackpropInputV\d$"
)  # not Conv2DBackpropInput: a transposed convolution
_STEPWISE = "TensorListSetItem"  # a loop that writes one output per turn goes through a sequence or a batch
FLOAT32 = 2.0**-23  # the smallest relative difference between two numbers
_PRECISION = {tf.float32: FLOAT32, tf.float16: 2.0**-10, tf.bfloat16: 2.0**-7}


class Operations(NamedTuple):
    """Names of operations, of the model and all functions that it calls, sorted.

    Attributes:
      random: those that draw other numbers each time; the stateless ones draw what their seed says.
      loops: loops, other than those over a sequence or over the images of a batch.
      gradients: those that exist only in backward passes.
      precision: the smallest relative difference between numbers of the coarsest float type.
    """

    random: list[str]
    loops: list[str]
    gradients: list[str]
    precision: float


def of_graph(graph: tf.Graph) -> Operations:
    """The operations of a traced function."""
    definition = graph.as_graph_def()
    functions = {function.signature.name: function for function in definition.library.function}
    nodes = [*definition.node, *(node for function in functions.values() for node in function.node_def)]
    names = {node.op for node in nodes}
    loops = {node.op for node in nodes if _LOOP.match(node.op) and not _goes_through(node, functions)}
    return Operations(
        random=sorted(name for name in names if _RANDOM.match(name)),
        loops=sorted(loops),
        gradients=sorted(name for name in names if _GRADIENT.search(name)),
        precision=max(_PRECISION[kind] for kind in _kinds(nodes)),
    )


def _goes_through(node, functions) -> bool:
    """Whether a loop writes an output in every turn and takes no gradient."""
    body = functions.get(node.attr["body"].func.name)
    if body is None:
        return False
    names = {inner.op for inner in body.node_def}
    return _STEPWISE in names and not any(_GRADIENT.search(name) or _LOOP.match(name) for name in names)


def _kinds(nodes) -> Iterator[tf.DType]:
    """The float types that results are computed in."""
    used = {node.attr[key].type for node in nodes for key in ("T", "DstT", "dtype") if key in node.attr}
    yield tf.float32
    yield from (kind for kind in _PRECISION if kind.as_datatype_enum in used)
