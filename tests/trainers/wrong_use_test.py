"""Wrong use of every program: exit code 2, one line that says what to change, and nothing left half-written."""

import shutil
import time

import keras
import numpy as np
import pytest

from tests.support import programs

# program, its arguments, what the line says. Each {name} stands for a path of the fixture below.
CASES = {
    "unknown flag": ("trainers.evaluate", ["--modle=x"], "modle"),
    "missing flag": ("trainers.evaluate", [], "--model"),
    "missing flagfile": ("trainers.mnist", ["--flagfile={nothing}", "--workdir={output}"], "nothing"),
    "flag value": ("trainers.mnist", ["--epochs=many", "--workdir={output}"], "epochs"),
    "flag value out of range": ("trainers.mnist", ["--momentum=2", "--workdir={output}"], "momentum"),
    "positional": ("trainers.evaluate", ["model.keras", "--model={model}"], "unexpected argument 'model.keras'"),
    "unknown model": ("trainers.mnist", ["--model=lnet", "--workdir={output}"], "lenet"),
    "unknown quantization": ("export.tflite", ["--model={model}", "--output={tflite}", "--quantize=int4"], "int8"),
    "unknown dataset": ("trainers.mnist", ["--dataset=minst", "--workdir={output}"], "unknown dataset 'minst'"),
    "drop epochs": ("trainers.mnist", ["--dataset=digits", "--learning_rate_drops=x", "--workdir={output}"], "epochs"),
    "unknown attack": (
        "trainers.evaluate",
        ["--model={model}", "--attack=pdg(linf(0.1))"],
        "did you mean 'pdpgd' or 'pgd'",
    ),
    "unknown corruption": (
        "trainers.evaluate",
        ["--model={model}", "--corruption=frost"],
        "--corruption: unknown corruption 'frost'",
    ),
    "no address": ("trainers.evaluate", ["--model=http://localhost/lenet"], "no address of a served model"),
    "no server": ("trainers.evaluate", ["--model=http://127.0.0.1:1/v1/models/a", "--tries=1"], "does not answer"),
    "attack syntax": ("trainers.evaluate", ["--model={model}", "--attack=pgd(linf(8/255)"], "does not parse"),
    "attack argument": (
        "export.verify",
        [*["--reference={model}", "--artifact={model}", "--attack=fgsm(linf(1),steps=2)"]],
        "steps",
    ),
    "negative radius": ("trainers.evaluate", ["--model={model}", "--attack=pgd(linf(-0.1))"], "radius"),
    "no radius": ("export.verify", ["--reference={model}", "--artifact={model}", "--min_robust_accuracy=1"], "radius"),
    "probabilities, saved": ("export.saved_model", ["--model={softmax}", "--output={output}"], "probabilities"),
    "probabilities, lite": ("export.tflite", ["--model={softmax}", "--output={tflite}"], "probabilities"),
    "images above 1": ("trainers.evaluate", ["--model={model}", "--dataset={bright}"], "[0, 1]"),
    "images with NaN": ("trainers.evaluate", ["--model={model}", "--dataset={nan}"], "NaN"),
    "images of rank 3": (
        "trainers.evaluate",
        ["--model={model}", "--dataset={flat}"],
        "[batch, height, width, channels]",
    ),
    "images of 16 bits": ("trainers.evaluate", ["--model={model}", "--dataset={uint16}"], "pixels in 0 to 255"),
    "images in 0-255": ("trainers.evaluate", ["--model={model}", "--dataset={pixels}"], "images / 255"),
    "channels first": ("trainers.evaluate", ["--model={model}", "--dataset={first}"], "channels-first"),
    "folder without images": ("trainers.evaluate", ["--model={model}", "--dataset={empty}"], "no PNG or JPEG files"),
    "image size": ("trainers.evaluate", ["--model={model}", "--image_size=28x28"], "HEIGHT,WIDTH"),
    "images of another size": ("trainers.evaluate", ["--model={model}", "--dataset={large}"], "(28, 28, 1)"),
    "label out of range": ("trainers.evaluate", ["--model={model}", "--dataset={labels}"], "label 99"),
    "missing model": ("trainers.evaluate", ["--model={nothing}.keras"], "no such file"),
    "truncated keras": ("trainers.evaluate", ["--model={half_keras}"], "not a readable Keras model"),
    "truncated keras, export": (
        "export.saved_model",
        ["--model={half_keras}", "--output={output}"],
        "not a readable Keras model",
    ),
    "truncated tflite": (
        "export.verify",
        ["--reference={model}", "--artifact={half_tflite}"],
        "not a readable TFLite model",
    ),
    "truncated graph": ("trainers.evaluate", ["--model={half_graph}"], "not a readable SavedModel"),
    "truncated variables": ("trainers.evaluate", ["--model={half_variables}"], "not a readable SavedModel"),
    "empty folder": ("trainers.evaluate", ["--model={empty}"], "neither saved_model.pb nor numbered versions"),
    "weights that do not fit": (
        "trainers.mnist",
        [*["--dataset=digits", "--init_weights={bright}", "--workdir={output}"]],
        "does not fit images",
    ),
    "no data dir": ("trainers.mnist", ["--data_dir={nothing}", "--nodownload", "--workdir={output}"], "TFDS_DATA_DIR"),
    "no calibration": ("export.tflite", ["--model={model}", "--output={tflite}", "--quantize=int8"], "--calibration"),
    "suffix": ("export.tflite", ["--model={model}", "--output={output}"], ".tflite"),
    "output below a file": ("trainers.evaluate", ["--model={model}", "--output={model}/report"], "model.keras"),
    "workdir below a file": ("trainers.mnist", ["--dataset=digits", "--workdir={model}/run"], "model.keras"),
    "version that exists": (
        "export.saved_model",
        ["--model={model}", "--output={saved_model}", "--version=1"],
        "exists",
    ),
}


def truncate(path):
    contents = path.read_bytes()
    path.write_bytes(contents[: len(contents) // 2])


@pytest.fixture(scope="module")
def paths(artifacts, tmp_path_factory):
    """Everything that a case can name: sound artifacts and damaged ones."""
    folder = tmp_path_factory.mktemp("wrong")
    names = (
        "nothing",
        "output",
        "softmax",
        "half_keras",
        "half_tflite",
        "tflite",
        "half_graph",
        "half_variables",
        "empty",
    )
    suffixes = {"softmax": ".keras", "half_keras": ".keras", "half_tflite": ".tflite", "tflite": ".tflite"}
    made = {name: folder / f"{name}{suffixes.get(name, '')}" for name in names}
    keras.Sequential(
        [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    ).save(made["softmax"])
    shutil.copy(artifacts.model, made["half_keras"])
    shutil.copy(artifacts.float32, made["half_tflite"])
    shutil.copytree(artifacts.saved_model / "1", made["half_graph"])
    shutil.copytree(artifacts.saved_model / "1", made["half_variables"])
    made["empty"].mkdir()
    variables = made["half_variables"] / "variables" / "variables.data-00000-of-00001"
    for path in (made["half_keras"], made["half_tflite"], made["half_graph"] / "saved_model.pb", variables):
        truncate(path)
    images = np.full((3, 28, 28, 1), 0.5, "float32")
    arrays = {
        "bright": (images * 3, [0, 1, 2]),
        "nan": (images * np.nan, [0, 1, 2]),
        "flat": (images[..., 0], [0, 1, 2]),
        "uint16": ((images * 65535).astype("uint16"), [0, 1, 2]),
        "pixels": (np.round(images * 255), [0, 1, 2]),
        "first": (images.transpose(0, 3, 1, 2), [0, 1, 2]),
        "large": (np.full((3, 32, 32, 1), 0.5, "float32"), [0, 1, 2]),
        "labels": (images, [0, 1, 99]),
    }
    for name, (values, labels) in arrays.items():
        made[name] = folder / f"{name}.npz"
        np.savez(made[name], images=values, labels=labels)
    return {**made, **artifacts._asdict()}


@pytest.mark.parametrize("name", CASES)
def test_one_clear_line_and_exit_code_2(paths, name):
    """And nothing is left half-written."""
    program, arguments, said = CASES[name]
    process = programs.run(program, *(argument.format_map(paths) for argument in arguments))
    assert process.returncode == 2, process.stdout[-1000:] + process.stderr[-1000:]
    (line,) = programs.errors(process)
    assert said in line and "Traceback" not in process.stderr
    assert not paths["tflite"].exists() and not paths["nothing"].exists()
    assert not paths["output"].exists() or not list(paths["output"].iterdir())
    assert not list(paths["tflite"].parent.rglob(".partial*"))
    assert [path.name for path in paths["saved_model"].iterdir()] == ["1"]


def test_help_answers_before_anything_large_is_imported():
    trainers = ("trainers.mnist", "trainers.cifar", "trainers.evaluate", "trainers.transfer")
    for program in (*trainers, "export.saved_model", "export.tflite", "export.verify"):
        process = programs.run_fresh(program, "--help", timeout=20)
        assert process.returncode == 0 and "--data_dir" in process.stdout
        code = f"import sys, {program}; assert not {{'tensorflow', 'keras', 'numpy'}} & set(sys.modules)"
        assert programs.run_code_fresh(code).returncode == 0, program


def test_missing_data_without_a_network_is_found_out_in_seconds(tmp_path):
    """Only where the data set's host cannot be reached: elsewhere the program would begin to download."""
    from tfrobust.data import tfds

    if tfds.reachable(data_builder(tmp_path)):
        pytest.skip("this machine can reach the host of MNIST")
    started = time.monotonic()
    process = programs.run("trainers.mnist", f"--data_dir={tmp_path}", f"--workdir={tmp_path / 'run'}")
    assert process.returncode == 2 and "does not answer" in programs.errors(process)[0]
    assert time.monotonic() - started < 60 and not (tmp_path / "run").exists()


def data_builder(data_dir):
    import tensorflow_datasets as tfds

    return tfds.builder("mnist", data_dir=str(data_dir))
