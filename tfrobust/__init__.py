"""tfrobust: train image classifiers that resist adversarial inputs, attack them, and attack what was exported.

Importing this package is quick: each part is loaded, and TensorFlow with it, when it is first used.

    import tfrobust as tfr
    tfr.evaluate(model, images, labels, ["pgd(linf(8/255))", "deepfool()"])
"""

import importlib

from tfrobust import registration

__version__ = "0.1.0"

_MODULES = (
    "analysis",
    "attacks",
    "balls",
    "callbacks",
    "data",
    "defenses",
    "distribution",
    "evaluation",
    "layers",
    "models",
    "objectives",
    "seeds",
    "targets",
)
_NAMES = {"InputError": "errors", "evaluate": "evaluation"}

__all__ = [*_MODULES, *_NAMES]  # noqa: PLE0604


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])


registration.after_keras()
