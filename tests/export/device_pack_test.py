"""The commands of docs/device.md; the pack without TensorFlow; and the page in a browser."""

import hashlib
import json
import pathlib
import shutil
import subprocess
import zipfile
import zlib

import numpy as np
import pytest
import tensorflow as tf

from export.device import page, run
from tests.support import browser, pages, programs
from tests.support.servers import environments
from tfrobust import targets
from tfrobust.errors import InputError

ATTACK = "--attack=pgd(linf(0.1), steps=10)"


def commands():
    """The commands of the page but for the training, the exporter and the web server, as lists of words."""
    found = pages.commands("device.md", "(?:python|unzip)")
    return [words for words in found if words[2] not in ("trainers.mnist", "export.tflite", "http.server")]


@pytest.fixture(scope="module")
def device():
    """The Python of an environment with NumPy and LiteRT alone."""
    return environments.python_with("litert")


@pytest.fixture(scope="module")
def node_modules():
    """LiteRT.js, by npm; None where that is not possible."""
    try:
        return page.library(None)
    except InputError:
        return None


@pytest.fixture(scope="module")
def ran(artifacts, device, node_modules, tmp_path_factory):
    """What each command of the page printed, and the folder that is called `deploy` there."""
    folder, printed = tmp_path_factory.mktemp("deploy"), []
    shutil.copy(artifacts.int8, folder / "lenet_int8.tflite")
    for given in commands():
        words = [
            word.replace("deploy/", f"{folder}/").replace("runs/lenet/model.keras", str(artifacts.model))
            for word in given
        ]
        if node_modules is None:
            words = [word for word in words if not word.startswith("--page")]
        if words[1] == "-m":
            printed.append(programs.succeed(*words[2:]))
        elif words[0] == "unzip":
            with zipfile.ZipFile(words[2]) as archive:
                archive.extractall(words[4])
        else:
            done = subprocess.run([device, *words[1:]], capture_output=True, text=True, check=True)
            printed.append(done.stdout)
    return printed, folder


def _skip_without(node_modules):
    if node_modules is None:
        pytest.skip("LiteRT.js is fetched by npm, which cannot be done here")


@pytest.fixture
def result(ran):
    """What the script has found."""
    return json.loads((ran[1] / "result.json").read_text())


def test_the_script_finds_what_verify_finds(ran, result):
    (row, *_) = json.loads((ran[1] / "verify/report.json").read_text())["artifacts"][0]["attacks"]
    verified = json.loads((ran[1] / "verify/report.json").read_text())["artifacts"][0]
    assert result["clean_accuracy"] == verified["clean_accuracy"]
    assert result["attacks"] == [{"attack": row["attack"], "robust_accuracy": row["robust_accuracy"]}]
    assert 0.1 < row["robust_accuracy"] < 0.95
    assert result["flips"] == 0 and result["relative_rms"] < 1e-6 and result["images"] == 100
    assert result["latency_ms"]["median"] > 0 and result["device"]["threads"] == 1
    assert "clean accuracy" in ran[0][1] and "where the pack was made" in ran[0][1]


def test_verify_puts_the_devices_figures_beside_its_own(ran, result):
    report = json.loads((ran[1] / "verify/report.json").read_text())
    assert report["artifacts"][0]["device_results"][0]["latency_ms"] == result["latency_ms"]
    page = (ran[1] / "verify/report.html").read_text()
    assert "On devices" in page and "ai-edge-litert" in page


@pytest.mark.parametrize("name", ["model.tflite", "pack.json", "images/1.npy", "logits/0.npy", "manifest.json"])
def test_a_changed_byte_is_refused(ran, device, name, tmp_path):
    folder = shutil.copytree(ran[1] / "pack", tmp_path / "pack")
    contents = bytearray((folder / name).read_bytes())
    contents[len(contents) // 2] ^= 1
    (folder / name).write_bytes(contents)
    done = subprocess.run([device, folder / "run.py"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2 and not done.stdout and not (tmp_path / "result.json").exists()
    (line,) = programs.errors(done)
    assert name in line or "SHA-256" in line


def test_a_delegate_that_is_not_there_is_one_line(ran, device, tmp_path):
    command = [device, ran[1] / "pack/run.py", "--delegate=/nowhere/libdelegate.so"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2 and "the delegate /nowhere/libdelegate.so cannot be loaded" in done.stderr


@pytest.mark.parametrize("output", ["/nowhere/result.json", "/"])
def test_a_result_that_cannot_be_written_is_one_line_before_anything_runs(ran, device, output):
    command = [device, ran[1] / "pack/run.py", f"--output={output}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (line,) = programs.errors(done)
    assert done.returncode == 2 and not done.stdout and "cannot be written" in line


def test_a_file_for_larger_batches_runs_in_the_script_and_on_the_page(artifacts, device, node_modules, tmp_path):
    fours, pack, result = tmp_path / "fours.tflite", tmp_path / "pack", tmp_path / "result.json"
    programs.succeed("export.tflite", f"--model={artifacts.model}", f"--output={fours}", "--fixed_batch=4")
    flags = ["--dataset=digits", "--examples=6", f"--reference={artifacts.model}", ATTACK, f"--output={pack}.zip"]
    where = [] if node_modules is None else [f"--page={tmp_path / 'page'}"]
    programs.succeed("export.device_pack", f"--model={fours}", *flags, *where)
    with zipfile.ZipFile(f"{pack}.zip") as archive:
        archive.extractall(pack)
    subprocess.run([device, pack / "run.py", f"--output={result}"], check=True, capture_output=True)
    found = json.loads(result.read_text())
    assert found["relative_rms"] < 1e-6 and found["clean_accuracy"] == found["expected"]["clean_accuracy"] > 0
    _skip_without(node_modules)
    opened = browser.opened(tmp_path / "page", tmp_path / "page.png")
    assert opened["status"] == "Done" and opened["result"]["relative_rms"] < 1e-6
    assert opened["result"]["attacks"] == found["attacks"]


def test_images_of_whole_pixels_are_png_files(artifacts, device, tmp_path):
    pack = tmp_path / "pack.zip"
    uint8 = ["--pixels=uint8", "--dataset=digits", "--examples=12", ATTACK]
    programs.succeed("export.device_pack", f"--model={artifacts.int8}", f"--output={pack}", *uint8)
    with zipfile.ZipFile(pack) as archive:
        archive.extractall(tmp_path)
    assert len(list((tmp_path / "images/1").glob("*.png"))) == 12
    subprocess.run([device, tmp_path / "run.py", f"--output={tmp_path / 'r.json'}"], check=True, capture_output=True)
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["relative_rms"] < 1e-6
    assert [row["robust_accuracy"] for row in found["attacks"]] == found["expected"]["robust_accuracy"]


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("filter_type", range(5))
def test_the_script_reads_png_files_as_tensorflow_does(channels, filter_type, tmp_path):
    image = np.random.default_rng(filter_type).integers(0, 256, [7, 5, channels]).astype("uint8")
    (tmp_path / "a.png").write_bytes(_png(image, filter_type))
    np.testing.assert_array_equal(tf.io.decode_png((tmp_path / "a.png").read_bytes()), image)
    np.testing.assert_array_equal(run.read_png(tmp_path / "a.png"), image)


def _png(image, filter_type):
    """A PNG file all of whose lines have one filter (PNG specification, section 9)."""
    height, width, channels = image.shape
    lines, above = b"", np.zeros([width * channels], int)
    for line in image.reshape(height, -1).astype(int):
        left, corner = (np.concatenate([np.zeros(channels, int), part[:-channels]]) for part in (line, above))
        distance = [abs(left + above - corner - part) for part in (left, above, corner)]
        paeth = np.select(
            [(distance[0] <= distance[1]) & (distance[0] <= distance[2]), distance[1] <= distance[2]],
            [left, above],
            corner,
        )
        guess = [0 * line, left, above, (left + above) // 2, paeth][filter_type]
        lines += bytes([filter_type]) + ((line - guess) % 256).astype("uint8").tobytes()
        above = line
    color = {1: 0, 3: 2, 4: 6}[channels]
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, color, 0, 0, 0])
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    packed = (
        len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big") for kind, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def test_results_of_another_file_or_of_other_examples_are_refused(ran, artifacts, tmp_path):
    result = ran[1] / "result.json"
    (tmp_path / "none.json").write_text('{"format": 1}')
    cases = {
        "none of the artifacts": [f"--artifact={artifacts.float32}", "--examples=50", f"--device_result={result}"],
        "other examples": [f"--artifact={artifacts.int8}", "--examples=49", f"--device_result={result}"],
        "another seed": [f"--artifact={artifacts.int8}", "--examples=50", "--seed=1", f"--device_result={result}"],
        "no result of a device pack": [f"--artifact={artifacts.int8}", f"--device_result={tmp_path / 'none.json'}"],
    }
    for message, flags in cases.items():
        process = programs.run("export.verify", f"--reference={artifacts.model}", "--own_examples=0", *flags)
        (line,) = programs.errors(process)
        assert process.returncode == 2 and message in line


@pytest.mark.parametrize("on_the_file", [True, False], ids=["no reference", "other pixels"])
def test_results_of_attacks_made_otherwise_are_refused(artifacts, device, on_the_file, tmp_path):
    reference, result = f"--reference={artifacts.model}", tmp_path / "result.json"
    flags = ["--dataset=digits", "--examples=6", ATTACK]
    made = [] if on_the_file else [reference, "--pixels=uint8"]
    programs.succeed("export.device_pack", f"--model={artifacts.int8}", f"--output={tmp_path}/pack.zip", *flags, *made)
    with zipfile.ZipFile(tmp_path / "pack.zip") as archive:
        archive.extractall(tmp_path)
    subprocess.run([device, tmp_path / "run.py", f"--output={result}"], check=True, capture_output=True)
    to_verify = [reference, f"--artifact={artifacts.int8}", "--own_examples=0", f"--device_result={result}"]
    process = programs.run("export.verify", *to_verify, *flags)
    (line,) = programs.errors(process)
    assert process.returncode == 2 and "attacks on another model, or of other --pixels" in line


def test_logits_that_differ_on_the_device_fail(ran, artifacts, tmp_path):
    changed = json.loads((ran[1] / "result.json").read_text()) | {"relative_rms": 0.2}
    (tmp_path / "result.json").write_text(json.dumps(changed))
    flags = [f"--artifact={artifacts.int8}", "--dataset=digits", "--examples=50", ATTACK, "--own_examples=0"]
    process = programs.run(
        "export.verify", f"--reference={artifacts.model}", *flags, f"--device_result={tmp_path / 'result.json'}"
    )
    assert process.returncode == 1 and "its logits differ by 0.2 of their spread, more than 0.015" in process.stdout


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_finds_what_the_script_finds_without_an_error_or_a_request_elsewhere(
    ran, result, dark, node_modules, tmp_path
):
    _skip_without(node_modules)
    opened = browser.opened(ran[1] / "page", tmp_path / "page.png", width=360, dark=dark)
    found = opened["result"]
    assert opened["status"] == "Done" and opened["problems"] == []
    assert opened["sideways"] <= 0 and opened["background"] == ("rgb(18, 22, 28)" if dark else "rgb(255, 255, 255)")
    assert all(url.startswith((opened["origin"], "blob:")) for url in opened["requests"])
    for name in ("clean_accuracy", "attacks", "flips", "images", "model_sha256", "examples_sha256", "expected"):
        assert found[name] == result[name], name
    assert found["relative_rms"] < 1e-6 and found["latency_ms"]["median"] > 0


def test_the_page_says_when_a_file_is_missing(ran, node_modules, tmp_path):
    _skip_without(node_modules)
    folder = shutil.copytree(ran[1] / "page", tmp_path / "page")
    (folder / "logits/0.bin").unlink()
    opened = browser.opened(folder, tmp_path / "page.png")
    assert opened["status"].startswith("This model cannot be run here: logits/0.bin is missing")


def test_integers_with_a_sign_are_for_the_script_alone(artifacts, node_modules, tmp_path):
    _skip_without(node_modules)
    io_int8 = tmp_path / "io.tflite"
    flags = ["--quantize=int8", "--calibration=digits", "--io_type=int8"]
    programs.succeed("export.tflite", f"--model={artifacts.model}", f"--output={io_int8}", *flags)
    litert = tmp_path / "node_modules"
    for place, contents in node_modules.items():
        names = {
            "litert/core.js": "@litertjs/core/dist/index.js",
            "litert/wasm-utils.js": "@litertjs/wasm-utils/dist/index.js",
        }
        path = litert / names.get(place, place.replace("litert/wasm", "@litertjs/core/wasm"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)
    common = [f"--model={io_int8}", "--dataset=digits", "--examples=5", "--attack=square(linf(0.1), queries=5)"]
    process = programs.run("export.device_pack", *common, f"--page={tmp_path / 'page'}", f"--litert_js={litert}")
    assert process.returncode == 2 and "has int8 at its ends" in process.stderr
    assert not (tmp_path / "page/pack.json").exists()
    programs.succeed("export.device_pack", *common, f"--output={tmp_path / 'pack.zip'}")


def test_a_file_with_a_fixed_batch_is_the_same_file_otherwise(artifacts):
    contents = artifacts.float32.read_bytes()
    fixed = page.with_fixed_batch(contents)
    assert hashlib.sha256(fixed).digest() != hashlib.sha256(contents).digest() and page.with_fixed_batch(fixed) == fixed


def test_wrong_use_is_one_line(artifacts, tmp_path):
    cases = {
        "say where it goes": [f"--model={artifacts.int8}"],
        "is a .zip file": [f"--model={artifacts.int8}", f"--output={tmp_path / 'pack'}"],
        "a device runs a .tflite file": [f"--model={artifacts.model}", f"--output={tmp_path / 'pack.zip'}"],
        "does not hold @litertjs/core": [f"--model={artifacts.int8}", f"--page={tmp_path}", f"--litert_js={tmp_path}"],
    }
    for message, flags in cases.items():
        process = programs.run("export.device_pack", *flags)
        (line,) = programs.errors(process)
        assert process.returncode == 2 and message in line
    assert not list(tmp_path.iterdir())


def test_the_fixed_file_gives_the_same_logits(artifacts, tmp_path):
    images = np.random.default_rng(0).uniform(size=[3, 28, 28, 1]).astype("float32")
    for path in (artifacts.float32, artifacts.int8):
        fixed = pathlib.Path(tmp_path, path.name)
        fixed.write_bytes(page.with_fixed_batch(path.read_bytes()))
        np.testing.assert_array_equal(targets.load(fixed).logits(images), targets.load(path).logits(images))
