"""The command `tfrobust`: every program by a short name, and lists of what there is.

tfrobust                       the programs
tfrobust evaluate --help       what python -m trainers.evaluate --help says
tfrobust list attacks          one line each; also models, datasets, defenses, masks, corruptions, configs
tfrobust --version
"""

import importlib
import runpy
import sys
from collections.abc import Callable, Iterable

import tfrobust as tfr
from tfrobust.cli import flagfiles, program, quiet
from tfrobust.errors import unknown

PROGRAMS = {
    "train-mnist": ("trainers.mnist", "train LeNet or an MLP on MNIST or digits"),
    "train-cifar": ("trainers.cifar", "train the papers' networks on CIFAR-10"),
    "train-imagenet": ("trainers.imagenet", "train on images in folders or of TFDS"),
    "evaluate": ("trainers.evaluate", "attack a model, and report how it holds"),
    "compare": ("trainers.compare", "set reports side by side, and refuse one that has become worse"),
    "transfer": ("trainers.transfer", "make attacks on some models and show them to others"),
    "scenarios": ("trainers.scenarios", "white-box, black-box and transferred attacks on several networks"),
    "study": ("trainers.study", "noise, patches, common corruptions and distances, as tables and pictures"),
    "sweep": ("trainers.sweep", "train with each value of a flag"),
    "certify": ("trainers.certify", "prove robustness, and attack beside"),
    "analyze": ("trainers.analyze", "look at gradients, paths and label maps"),
    "patch": ("trainers.patch", "train an adversarial patch"),
    "export-saved-model": ("export.saved_model", "write a SavedModel for TF Serving"),
    "export-tflite": ("export.tflite", "write a TFLite file"),
    "verify": ("export.verify", "attack what was exported, beside what it came from"),
    "pack-for-device": ("export.device_pack", "put images and a model where a device or a browser runs them"),
}


def main() -> None:
    """Runs what the command line names."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("--help", "-h", "help"):
        print(__doc__.strip())
        print("\n" + "\n".join(f"    {short:20} {said}" for short, (_, said) in PROGRAMS.items()))
    elif name == "--version":
        print(f"tfrobust {tfr.__version__}")
    elif name == "list":
        _list(arguments)
    elif name in PROGRAMS:
        sys.argv = [name, *arguments]
        runpy.run_module(PROGRAMS[name][0], run_name="__main__", alter_sys=True)
    else:
        program.fail(unknown("command", name, [*PROGRAMS, "list"]))


def _list(arguments):
    kinds = {
        "attacks": _attacks,
        "models": _models,
        "datasets": _datasets,
        "defenses": _defenses,
        "masks": _masks,
        "corruptions": _corruptions,
        "configs": _configs,
    }
    if len(arguments) != 1 or arguments[0] not in kinds:
        program.fail(f"tfrobust list takes one of {', '.join(kinds)}; got {' '.join(arguments) or 'nothing'}")
    quiet.start_tensorflow()
    for name, said in kinds[arguments[0]]():
        print(f"{name:24} {said}".rstrip())


def _attacks():
    return _by_docstring(tfr.attacks.spec.ATTACKS)


def _models():
    return _by_docstring(tfr.models.MODELS)


def _datasets():
    yield "digits", "scikit-learn's 1,797 handwritten digits, as 28x28; nothing to download"
    yield "mnist, cifar10, ...", "any data set of TFDS with image and label"
    yield "FILE.npz", "images and labels, or x_test and y_test; further arrays are slices"
    yield "FOLDER", "class folders of PNG or JPEG files"


def _defenses():
    kinds = importlib.import_module("trainers.defense").KINDS
    return ((f"--defense={kind}", said) for kind, said in kinds.items())


def _masks():
    said = {"random": "a mask for each channel", "same": "one mask for all channels", "channel": "fewer channels"}
    for kind in tfr.models.masks.KINDS:
        yield f"kind={kind}", said.get(kind, "drawn anew in each step")
    yield "shallow=0.7", "the first half of the blocks, 70 % left out; deep= the others, 0= the stem"


def _corruptions():
    return ((name, "") for name in tfr.evaluation.common_corruptions.NAMES)


def _configs():
    for name, path in flagfiles.shipped().items():
        yield f"--config={name}", path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")


def _by_docstring(known: dict[str, Callable]) -> Iterable[tuple[str, str]]:
    return ((name, _first_line(made)) for name, made in known.items())


def _first_line(made):
    return (made.__doc__ or "").strip().partition("\n")[0]


if __name__ == "__main__":
    main()
