"""Makes Keras know this library's layers once both are imported, in whatever order, so that `.keras` files open."""

import importlib
import importlib.abc
import importlib.machinery
import sys


def after_keras() -> None:
    """Registers the layers now if Keras is there, else when it is imported; imports nothing itself before."""
    if "keras" in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _Finder())


def _register():
    # The layers alone: TensorFlow imports Keras while it is not complete itself, and networks are of nothing else.
    importlib.import_module("tfrobust.layers")


class _Finder(importlib.abc.MetaPathFinder):
    """Finds Keras as it would be found, and registers after it has run, which may fail and be tried again."""

    def find_spec(self, fullname, path=None, target=None):
        """As the protocol of `sys.meta_path` says."""
        spec = importlib.machinery.PathFinder.find_spec(fullname, path) if fullname == "keras" else None
        if spec is not None and spec.loader is not None:
            loader, run = spec.loader, spec.loader.exec_module

            def run_and_register(module):
                run(module)
                sys.meta_path.remove(self)
                _register()

            loader.exec_module = run_and_register  # type: ignore[method-assign]  # of this one loader, for this import
        return spec
