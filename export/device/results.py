"""What a device or a browser has found of a file, beside what is found here."""

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Sequence

from export.artifact import Artifact
from export.device import pack
from export.device.run import FORMAT
from export.verification import Verification
from tfrobust.errors import InputError

_NUMBERS = ("clean_accuracy", "flips", "images", "largest", "relative_rms", "seed", "examples")
_TEXTS = ("model_sha256", "examples_sha256", "attacks_sha256")


def read(path) -> dict:
    """The result.json that `run.py` or the page of a pack has left.

    Raises:
      InputError: for a file that is none.
    """
    try:
        found = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        sound = found["format"] == FORMAT and all(isinstance(found[name], int | float) for name in _NUMBERS)
        sound &= all(isinstance(found[name], str) for name in _TEXTS)
        sound &= all(
            isinstance(row["attack"], str) and 0.0 <= row["robust_accuracy"] <= 1.0 for row in found["attacks"]
        )
        sound &= all(isinstance(found["device"][name], str) for name in ("runtime", "machine", "delegate"))
        sound &= all(found["latency_ms"][name] >= 0.0 for name in ("median", "p90"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--device_result: {path} cannot be read: {error}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"--device_result: {path} is no result of a device pack") from error
    if not sound:
        raise InputError(f"--device_result: {path} is no result of a device pack of this version")
    return {**found, "path": str(path)}


def beside(found: Verification, results: Sequence[dict]) -> Verification:
    """A verification whose artifacts have the results of devices that ran the same file on the same examples.

    Raises:
      InputError: for a result of another file, of other examples, of another seed, or of attacks on another model.
    """
    if not results:
        return found
    examples, seed = pack.examples_sha256(found.reference), found.reference.report["seed"]
    attacks = pack.attacks_sha256(found.reference)
    of_file = {one.path: _sha256(one) for one in found.artifacts}
    for result in results:
        if result["model_sha256"] not in of_file.values():
            raise InputError(f"--device_result: {result['path']} is of a file that is none of the artifacts")
        if (result["examples_sha256"], result["seed"]) != (examples, seed):
            raise InputError(
                f"--device_result: {result['path']} is of other examples or another seed: give --dataset, --examples and --seed as "
                "the pack was made with"
            )
        if result["attacks"] and found.reference.outcomes and result["attacks_sha256"] != attacks:
            raise InputError(
                f"--device_result: {result['path']} has attacks on another model, or of other --pixels: make the pack with this "
                "--reference and --pixels"
            )
    artifacts = [
        dataclasses.replace(one, device_results=[r for r in results if r["model_sha256"] == of_file[one.path]])
        for one in found.artifacts
    ]
    return found._replace(artifacts=artifacts)


def table(artifacts: Sequence[Artifact]) -> Iterator[list[str]]:
    """Lines of cells, with a heading, for the results of devices; nothing without one."""
    with_results = [one for one in artifacts if one.device_results]
    if with_results:
        yield ["figure", "artifact", "here", "device", "on"]
    for one in with_results:
        here = {outcome.name: (~outcome.broken).mean() for outcome in one.transferred.outcomes}
        for result in one.device_results:
            name = _name(result)
            clean = one.transferred.report["clean_accuracy"]
            yield ["clean accuracy", one.path, f"{clean:.2%}", f"{result['clean_accuracy']:.2%}", name]
            for row in result["attacks"]:
                expected = f"{here[row['attack']]:.2%}" if row["attack"] in here else ""
                yield [f"robust, {row['attack']}", one.path, expected, f"{row['robust_accuracy']:.2%}", name]
            yield ["predictions that differ", one.path, "", f"{result['flips']} of {result['images']}", name]
            times = result["latency_ms"]
            yield ["ms an image, median and 90 %", one.path, "", f"{times['median']:.3f}, {times['p90']:.3f}", name]


def _name(result):
    device = result["device"]
    return f"{device['runtime']}, {device['machine']}, {device['delegate']}"


def _sha256(one):
    path = pathlib.Path(one.path)
    return pack.sha256(path.read_bytes()) if path.is_file() else None
