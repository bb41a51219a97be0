"""A static folder that runs a file in the browser of any phone: by LiteRT.js, and from its own files alone."""

import json
import pathlib
import shutil
import subprocess
import tempfile

from export.device.pack import Pack, in_8_bits
from tfrobust import files
from tfrobust.errors import InputError

_PACKAGE = "@litertjs/core"
_FROM_NPM = f"{_PACKAGE}@2.5.3"
_LIBRARY = {  # of node_modules, and where it goes
    "@litertjs/core/dist/index.js": "litert/core.js",
    "@litertjs/wasm-utils/dist/index.js": "litert/wasm-utils.js",
}
_WASM = "@litertjs/core/wasm"
_KINDS = ("litert_wasm_internal", "litert_wasm_compat_internal")  # with and without relaxed SIMD; one thread
_FILES = pathlib.Path(__file__).with_name("page")
_TYPES = ("float32", "int32", "uint8")  # that LiteRT.js has


def library(given: str | None) -> dict[str, bytes]:
    """The files of LiteRT.js, by where they go on the page.

    Args:
      given: a node_modules folder; None: the package is installed by npm into a temporary one.

    Raises:
      InputError: where npm is not there or cannot install it, or the folder does not hold it.
    """
    if given is not None:
        return _library_in(pathlib.Path(given))
    if shutil.which("npm") is None:
        raise InputError(
            f"--page needs LiteRT.js: install npm, or give a node_modules folder with {_PACKAGE} by --litert_js"
        )
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, _FROM_NPM]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise InputError(f"npm cannot install {_FROM_NPM}: {' '.join(reason)}; give its folder by --litert_js")
        return _library_in(pathlib.Path(folder, "node_modules"))


def _library_in(folder):
    wanted = {
        **_LIBRARY,
        **{f"{_WASM}/{kind}.{suffix}": f"litert/wasm/{kind}.{suffix}" for kind in _KINDS for suffix in ("js", "wasm")},
    }
    try:
        return {place: (folder / name).read_bytes() for name, place in wanted.items()}
    except OSError as error:
        raise InputError(f"{folder} does not hold {_PACKAGE}: {error.filename} is missing (--litert_js)") from error


def write(pack: Pack, folder: pathlib.Path, litert: dict[str, bytes]) -> None:
    """Writes the page. Its description comes last, so that a page that is not complete says so.

    Args:
      pack: what is run.
      folder: is made if need be.
      litert: from `library`.

    Raises:
      InputError: for a file that LiteRT.js does not run: with integers of 8 bits with a sign, or of 16, at its ends.
    """
    file = pack.target.file
    given, scores = file.tensors[file.input], file.tensors[file.scores(None)]
    for tensor in (given, scores):
        if tensor.dtype.name not in _TYPES:
            raise InputError(
                f"{pack.target.name} has {tensor.dtype.name} at its ends, LiteRT.js takes {', '.join(_TYPES)}: export it with "
                "--io_type=float32 or uint8, or run the pack's script on the device"
            )
    contents = {path.name: path.read_bytes() for path in _FILES.iterdir() if path.is_file()}
    contents |= {"model.tflite": with_fixed_batch(pathlib.Path(pack.target.name).read_bytes()), **litert}
    sets = []
    for number, one in enumerate(pack.sets):
        levels = in_8_bits(one.images)
        stored = one.images if levels is None else levels
        contents |= {f"images/{number}.bin": stored.tobytes(), f"logits/{number}.bin": one.logits.tobytes()}
        sets.append({"name": one.name, "type": stored.dtype.name, "valid": one.valid.tolist()})
    described = {
        **pack.description(),
        "sets": sets,
        "image": list(pack.sets[0].images.shape[1:]),
        "input": {"type": given.dtype.name, "shape": [int(size) for size in given.shape], **_steps(given)},
        "scores": {"place": file.outputs.index(file.scores(None)), "type": scores.dtype.name, **_steps(scores)},
    }
    (folder / "pack.json").unlink(missing_ok=True)  # of an earlier page, beside whose files new ones come
    for name, content in {**contents, "pack.json": json.dumps(described).encode()}.items():
        with files.written(folder / name) as path:
            path.write_bytes(content)


def _steps(tensor):
    scale, zero_point = tensor.stored_as()
    return {"scale": scale, "zero_point": zero_point}


def with_fixed_batch(contents: bytes) -> bytes:
    """A file for batches of one size, of one for any: LiteRT.js takes no other. The size is that which the file was made with.

    Args:
      contents: of a `.tflite` file that says that its batch may change; one that does not stays as it is.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model = schema.ModelT.InitFromPackedBuf(bytearray(contents), 0)
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    if all(tensor.shapeSignature is None or not len(tensor.shapeSignature) for tensor in tensors):
        return contents
    for tensor in tensors:
        tensor.shapeSignature = None
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
