"""What a SavedModel would do to files, read from its graph before anything of it runs.

Loading a SavedModel runs its initializers, and asking it runs a signature. Every Keras export also holds operations that save and
restore variables, which neither reaches: so the graph is followed from where it starts.
"""

import pathlib
import re
from collections.abc import Iterable, Iterator

from tfrobust.errors import InputError
from tfrobust.targets import trial

# Of TensorFlow's operations those that read, write or list files, or call Python or another machine, by their names.
_FILE_OPERATIONS = re.compile(
    "ReadFile|WriteFile|MatchingFiles|Save.*|.*Restore.*|MergeV2Checkpoints|LoadAndRemapMatrix|.*Reader(V2)?|LMDBDataset|"
    "TFRecordDataset(V2)?|TextLineDataset|FixedLengthRecordDataset(V2)?|SqlDataset|(Load|Snapshot|Cache)Dataset.*|DatasetToTFRecord|"
    "FileSystemSetConfiguration|PrintV2|Debug.*|Create.*SummaryWriter|Create.*Writer|.*PyFunc.*|RemoteCall|Rpc.*"
)
_LOOPS = {"While", "StatelessWhile", "Enter"}
_AT_LOADING = ("_create_resource", "_initialize", "_destroy_resource")  # methods of resources such as tables


def refuse_hostile(directory: pathlib.Path, signature: str | None) -> None:
    """Raises `InputError` for operations on files, naming them, for a loop that does not end and for damaged constants.

    Of operations counts what loading the SavedModel or a signature of it reaches.

    Args:
      directory: with `saved_model.pb`.
      signature: the one that is to be asked; None: serving_default, serve, or the only one.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        contents = (directory / "saved_model.pb").read_bytes()
        (graph, *_) = saved_model_pb2.SavedModel.FromString(contents).meta_graphs
    except (OSError, DecodeError, ValueError):
        return  # whoever loads it says what is wrong
    _check_constants(directory, graph.graph_def)
    reached = {"loading it": set(_loaded(graph)), "its answer": set(_asked(graph, signature))}
    for what, names in reached.items():
        found = sorted(name for name in names if _FILE_OPERATIONS.fullmatch(name))
        if found:
            raise InputError(
                f"{directory} is not run: {what} would use {', '.join(found)}, which read or write files or call other code"
            )
    outside = [asset.filename for asset in graph.asset_file_def if not _is_inside(asset.filename)]
    reads_tables = any(name.startswith("InitializeTableFromTextFile") for name in reached["loading it"])
    if outside or (reads_tables and not graph.asset_file_def):
        raise InputError(
            f"{directory} is not run: loading it would read {', '.join(outside) or 'a file'} outside of its assets"
        )
    if _LOOPS & set().union(*reached.values()):
        trial.refuse_what_does_not_answer(directory, signature)


def _check_constants(directory, graph):
    """TensorFlow ends the process where it reads one whose values are of another type than it says."""
    for node in [*graph.node, *(node for function in graph.library.function for node in function.node_def)]:
        if node.op == "Const" and node.attr["dtype"].type != node.attr["value"].tensor.dtype:
            raise InputError(f"{directory} is not a readable SavedModel: its constant {node.name} is of two types")


def _is_inside(filename):
    """Whether an asset is what its name says it is: a file in the folder of assets."""
    path = pathlib.PurePosixPath(filename)
    return not path.is_absolute() and ".." not in path.parts


def _asked(graph, signature) -> Iterator[str]:
    """The operations behind a signature, or behind every function where it is no signature but a function of the module."""
    known = graph.signature_def
    name = signature or next((name for name in ("serving_default", "serve") if name in known), None)
    if name is None and len(known) == 1:
        (name,) = known
    if name is not None and name in known:
        yield from _behind(graph, [tensor.name for tensor in known[name].outputs.values()], ())
    elif name is not None or len(known) < 2:  # of several signatures one has to be named: nothing is asked
        functions = {concrete for node in graph.object_graph_def.nodes for concrete in node.function.concrete_functions}
        yield from _behind(graph, (), functions)


def _loaded(graph) -> Iterator[str]:
    """The operations that run when it is loaded."""
    nodes = graph.object_graph_def.nodes
    functions = {
        concrete
        for node in nodes
        for child in node.children
        if child.local_name in _AT_LOADING and 0 <= child.node_id < len(nodes)
        for concrete in nodes[child.node_id].function.concrete_functions
    }
    at_start = graph.signature_def.get("__saved_model_init_op")
    yield from _behind(graph, [tensor.name for tensor in at_start.outputs.values()] if at_start else (), functions)


def _behind(graph, tensors: Iterable[str], functions: Iterable[str]) -> Iterator[str]:
    """The kinds of operations that compute tensors of the main graph, and those in functions, with all that they call.

    In a function everything counts: what has an effect runs, whether or not a result depends on it.
    """
    library = {function.signature.name: function.node_def for function in graph.graph_def.library.function}
    nodes = {node.name: node for node in graph.graph_def.node}
    seen, called = set(), set()
    waiting = [_name(tensor) for tensor in tensors]
    found = [*functions]
    while waiting or found:
        if waiting:
            name = waiting.pop()
            if name in seen or name not in nodes:
                continue
            seen.add(name)
            waiting += map(_name, nodes[name].input)
            body = [nodes[name]]
        else:
            name = found.pop()
            if name in called or name not in library:
                continue
            called.add(name)
            body = library[name]
        for node in body:
            yield node.op
            found.append(node.op)  # a function may be an operation of its name
            for value in node.attr.values():
                found += [function.name for function in (value.func, *value.list.func)]


def _name(tensor):
    """Of the operation of a tensor such as `^name`, `name` or `name:0`."""
    return tensor.removeprefix("^").partition(":")[0]
