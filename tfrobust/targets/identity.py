"""What a model is, as a short text: equal only where its answers and its gradients are computed the same way."""

import hashlib
import pathlib

import numpy as np
import tensorflow as tf

_PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}  # what these compute is not in the graph
_NAMES = {"_gradient_op_type", "shared_name", "container", "debug_name"}  # of variables and of Python objects


def of_files(path) -> str:
    """Of a file, or of all files of a folder."""
    path = pathlib.Path(path)
    files = sorted(part for part in path.rglob("*") if part.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for part in files:
        digest.update(f"{part.relative_to(path)} {hashlib.sha256(part.read_bytes()).hexdigest()};".encode())
    return digest.hexdigest()


def of_graph(logits_fn, input_shape) -> str | None:
    """Of a TensorFlow function: its forward and backward graph, and all values that it depends on.

    Args:
      logits_fn: images -> logits.
      input_shape: (height, width, channels); unknown sizes may be None.

    Returns:
      The text, or None if the function calls Python, which a graph does not show.
    """

    def forward_and_backward(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            logits = logits_fn(images)
        return logits, tape.gradient(logits, images, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    traced = tf.function(forward_and_backward, autograph=False).get_concrete_function(
        tf.TensorSpec([None, *input_shape], tf.float32)
    )
    graph = traced.graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    if any(node.op in _PYTHON for node in nodes):
        return None
    digest = hashlib.sha256(_Bodies(graph.library).text(graph.node).encode())
    for value in _values(traced):
        digest.update(value)
    return digest.hexdigest()


def _values(traced):
    """bytes of all variables and constants, in the order in which the graph captured them.

    `traced.variables` comes in another order in each process. What it holds beyond the captures, as a strategy's variables
    do, comes last, in an order of its own.
    """
    variables = {id(variable.handle): np.ascontiguousarray(variable.numpy()).tobytes() for variable in traced.variables}
    for captured in traced.captured_inputs:
        if id(captured) in variables:
            yield variables.pop(id(captured))
        elif captured.dtype not in (tf.resource, tf.variant):
            yield captured.numpy().tobytes()
    yield from sorted(variables.values())


class _Bodies:
    """Graphs as text. Names do not count: TensorFlow makes them unique by numbers that differ between processes."""

    def __init__(self, library):
        self._functions = {function.signature.name: function for function in library.function}
        self._known = {}

    def text(self, nodes, arguments=()) -> str:
        """Operations in order, with their inputs by position and their attributes."""
        places = {name: str(place) for place, name in enumerate([*arguments, *(node.name for node in nodes)])}
        return hashlib.sha256("".join(self._node(node, places) for node in nodes).encode()).hexdigest()

    def _node(self, node, places):
        inputs = [_moved(name, places) for name in node.input]
        attributes = [f"{key}={self._attribute(node.attr[key])}" for key in sorted(node.attr) if key not in _NAMES]
        return f"{self._function(node.op)}({','.join(inputs)};{';'.join(attributes)})"

    def _attribute(self, value):
        named = [value.func.name, value.s.decode(errors="ignore"), *(function.name for function in value.list.func)]
        known = [self._function(name) for name in named if name in self._functions]
        return "".join(known) or hashlib.sha256(value.SerializeToString(deterministic=True)).hexdigest()

    def _function(self, name):
        """A library function's body, or the name of an operation."""
        if name not in self._functions:
            return name
        if name not in self._known:
            function = self._functions[name]
            arguments = [argument.name for argument in function.signature.input_arg]
            places = {part: str(place) for place, part in enumerate([*arguments, *(n.name for n in function.node_def)])}
            returned = [_moved(function.ret[argument.name], places) for argument in function.signature.output_arg]
            self._known[name] = self.text(function.node_def, arguments) + ",".join(returned)
        return self._known[name]


def _moved(name, places):
    """An input such as `node`, `node:1`, `node:output:0` or `^node`, by its node's place."""
    node, *rest = name.removeprefix("^").split(":")
    return ":".join([places[node], *rest])
