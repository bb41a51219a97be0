"""Imports all that the programs need, but for the modules that define flags, so that forked children have it.

Nothing here may compute: a process in which TensorFlow has started its threads cannot be forked.
"""

import importlib
import pkgutil

import tfrobust
from tfrobust.cli import quiet

MODULES = (
    "tensorflow",
    "keras",
    "tensorflow.lite",
    "tensorflow_datasets",
    "ai_edge_litert.interpreter",
    "matplotlib.pyplot",
    "scipy.stats",
    "sklearn.datasets",
    "trainers.checkpoints",
    "trainers.fitting",
    "trainers.workdir",
)


def load():
    """Imports everything.

    Raises:
      RuntimeError: if an import has computed something.
    """
    with quiet.held_back():
        for name in MODULES:
            importlib.import_module(name)
    for module in pkgutil.iter_modules(tfrobust.__path__, "tfrobust."):
        if module.name.rpartition(".")[2] not in ("cli", "__main__"):
            importlib.import_module(module.name)
    context = importlib.import_module("tensorflow.python.eager.context").context()
    if context._initialized:
        raise RuntimeError("importing tfrobust or a trainer computes something: find it, and do it where it is used")


load()
