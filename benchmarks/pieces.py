"""Images and weights in small files, since what is carried to and from a machine is limited: 0.npz, 1.npz and so on."""

import pathlib

import numpy as np

import tfrobust as tfr
from tfrobust.errors import InputError

PIECE_BYTES = 15 << 20


def differences(images):
    """Each channel less the one before, then each pixel less the one above and to the left: modulo 256, without loss."""
    for axis in (3, 1, 2):
        images = np.diff(images, axis=axis, prepend=np.uint8(0))
    return np.moveaxis(images, 3, 0)  # channel after channel deflates better


def sums(planes):
    """The inverse of `differences`."""
    for axis in (0, 2, 3):
        planes = planes.cumsum(axis, dtype="uint8")
    return np.moveaxis(planes, 0, 3)


def write_network(network, output):
    """Writes the architecture and, in files below 16 MiB, the weights under their numbers."""
    pieces, room = [], 0
    for number, weight in enumerate(network.get_weights()):
        if weight.nbytes > room:
            pieces.append({})
            room = PIECE_BYTES
        pieces[-1][str(number)] = weight
        room -= weight.nbytes
    for number, piece in enumerate(pieces):
        np.savez(output / f"{number}.npz", **piece)
    (output / "architecture.json").write_text(network.to_json())
    print(f"{len(pieces)} pieces of {network.count_params():,} weights: {output}")


def read_network(folder):
    """The network that `write_network` wrote, under any back end."""
    import keras

    tfr.layers  # noqa: B018 -- registers what the architecture is made of
    network = keras.models.model_from_json((folder / "architecture.json").read_text())
    weights = {number: weight for path in numbered(folder) for number, weight in arrays(path).items()}
    network.set_weights([weights[str(number)] for number in range(len(weights))])
    return network


def numbered(folder):
    """The files 0.npz, 1.npz, ... of a folder, in order."""
    paths = sorted(pathlib.Path(folder).glob("*.npz"), key=lambda path: int(path.stem))
    if [path.stem for path in paths] != [str(number) for number in range(max(1, len(paths)))]:
        raise InputError(f"{folder} must hold 0.npz, 1.npz and so on; it has {[path.name for path in paths]}")
    return paths


def arrays(path):
    with np.load(path) as found:
        return dict(found)
