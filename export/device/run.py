"""Runs the model of this pack on this device, and says how robust it is here and how fast.

    python run.py [--threads=4] [--delegate=libdelegate.so] [--output=result.json]

Needs Python 3.9 or newer, NumPy and ai-edge-litert (or tflite-runtime). The result goes back to the machine that made the pack:

    python -m export.verify … --device_result=result.json

Exit code 0: done; 2: a file of the pack is missing or not what it was, the interpreter is not installed or does not run the
model, or the result cannot be written.
"""

import argparse
import hashlib
import json
import os
import pathlib
import platform
import struct
import sys
import time
import zlib

import numpy as np

FORMAT = 1
PACK = pathlib.Path(__file__).resolve().parent
WARM_UP = 5  # images before times are taken


def main():
    """Checks the pack, runs it, prints and writes what came out."""
    parser = argparse.ArgumentParser(description="Runs the model of this pack on this device.")
    parser.add_argument("--threads", type=int, default=1, help="of the interpreter")
    parser.add_argument("--delegate", help="shared library of a delegate; default: XNNPACK")
    parser.add_argument("--output", default="result.json", help="where the result goes")
    arguments = parser.parse_args()
    output = pathlib.Path(arguments.output)
    if output.is_dir() or not os.access(output.parent, os.W_OK):
        fail(f"--output: {output} cannot be written")
    pack = checked()
    model = Model(pack, arguments.threads, arguments.delegate)
    answers, seconds = [], []
    for number, one in enumerate(pack["sets"]):
        images = read_images(one, len(pack["labels"]))
        logits = np.empty([len(images), pack["classes"]], "float32")
        for place, image in enumerate(images):
            started = time.perf_counter()
            logits[place] = model.logits(image)
            seconds.append(time.perf_counter() - started)
        answers.append(logits)
        print(f"{number + 1} of {len(pack['sets'])}: {one['name']}", file=sys.stderr, flush=True)
    result = {
        **figures(pack, answers),
        "latency_ms": latency(seconds),
        "device": {
            "machine": platform.machine(),
            "system": platform.platform(),
            "runtime": model.runtime,
            "threads": arguments.threads,
            "delegate": arguments.delegate or "XNNPACK",
        },
    }
    print_figures(result)
    write(json.dumps(result, indent=2) + "\n", output)
    print(f"result: {output}")


def checked():
    """The description of the pack, once every file has the hash that the manifest says."""
    try:
        manifest = json.loads((PACK / "manifest.json").read_text())["files"]
        names = {path.relative_to(PACK).as_posix() for path in PACK.rglob("*") if path.is_file()}
    except (OSError, ValueError, KeyError, TypeError):
        fail("manifest.json is missing or damaged: unpack the zip again")
    for name, digest in manifest.items():
        if name not in names:
            fail(f"{name} is missing: unpack the zip again")
        if hashlib.sha256((PACK / name).read_bytes()).hexdigest() != digest:
            fail(f"{name} is not what was packed: its SHA-256 is another one")
    return json.loads((PACK / "pack.json").read_text())


def write(text, output):
    """A file that is there when it is whole."""
    partial = output.with_name(f".partial-{output.name}")
    partial.write_text(text)
    os.replace(partial, output)


def fail(message):
    """Ends with one line."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


class Model:
    """The file, one image at a time."""

    def __init__(self, pack, threads, delegate):
        library, self.runtime = interpreter_library()
        delegates = []
        if delegate:
            try:
                delegates = [library.load_delegate(delegate)]
            except (ValueError, OSError, RuntimeError) as error:
                fail(f"the delegate {delegate} cannot be loaded: {error}")
        try:
            self._interpreter = library.Interpreter(
                model_path=str(PACK / "model.tflite"), num_threads=threads, experimental_delegates=delegates or None
            )
            self._interpreter.allocate_tensors()
            self._input = self._interpreter.get_input_details()[0]
            outputs = {int(one["index"]): one for one in self._interpreter.get_output_details()}
            self._output = outputs[pack["output"]]
            self._low, self._high = pack["bounds"]
            zeros = np.zeros(self._input["shape"][1:], "float32")
            for _ in range(WARM_UP):
                self.logits(zeros)
        except (ValueError, RuntimeError) as error:
            fail(f"model.tflite does not run here: {str(error).splitlines()[0]}")

    def logits(self, image):
        """Of an image, float32 [height, width, channels] in [0, 1]; the rest of a larger batch is zeros."""
        batch = np.zeros(self._input["shape"], "float32")
        batch[0] = (image * np.float32(self._high - self._low) + np.float32(self._low)).reshape(batch.shape[1:])
        self._interpreter.set_tensor(self._input["index"], stored(batch, self._input))
        self._interpreter.invoke()
        return real(self._interpreter.get_tensor(self._output["index"]), self._output)[0]


def interpreter_library():
    """The module with the interpreter, and its name and version."""
    try:
        import ai_edge_litert.interpreter as library

        name = "ai-edge-litert"
    except ImportError:
        try:
            import tflite_runtime.interpreter as library

            name = "tflite-runtime"
        except ImportError:
            fail("install ai-edge-litert or tflite-runtime: pip install ai-edge-litert")
    import importlib.metadata

    return library, f"{name} {importlib.metadata.version(name)}"


def stored(values, details):
    """Numbers as the file's tensor holds them."""
    if not np.issubdtype(details["dtype"], np.integer):
        return values.astype(details["dtype"])
    scale, zero_point = steps(details)
    limits = np.iinfo(details["dtype"])
    return np.clip(np.round(values / scale) + zero_point, limits.min, limits.max).astype(details["dtype"])


def real(held, details):
    """The numbers that a tensor of the file stands for."""
    scale, zero_point = steps(details)
    return ((held.astype("float32") - zero_point) * scale).astype("float32")


def steps(details):
    """Scale and zero point; of what is not quantized 1 and 0."""
    scales, zero_points = (details["quantization_parameters"][name] for name in ("scales", "zero_points"))
    return (float(scales[0]), int(zero_points[0])) if len(scales) else (1.0, 0)


def read_images(one, count):
    """float32 [count, height, width, channels] in [0, 1] of one of the pack's sets."""
    path = PACK / one["images"]
    if path.suffix == ".npy":
        return np.load(path)
    return np.stack([read_png(path / f"{place:05d}.png") for place in range(count)]).astype("float32") / np.float32(255)


def read_png(path):
    """uint8 [height, width, channels] of a PNG file of 8 bits without a palette or interlacing."""
    data, place, packed = path.read_bytes(), 8, b""
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        body = data[place + 8 : place + 8 + length]
        if kind == b"IHDR":
            width, height, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            packed += body
        place += 12 + length
    if depth != 8 or interlaced or color not in (0, 2, 4, 6):
        fail(f"{path.name} is no PNG file of 8 bits")
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[color]
    lines = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + width * channels)
    image, above = np.empty([height, width * channels], np.uint8), np.zeros(width * channels, np.int32)
    for row, line in enumerate(lines):
        above = unfiltered(int(line[0]), line[1:].astype(np.int32), above, channels)
        image[row] = above
    return image.reshape(height, width, channels)


def unfiltered(kind, line, above, step):
    """A line of a PNG file before its filter (PNG specification, section 9), of the line above it."""
    if kind == 0:
        return line
    if kind == 1:
        return np.cumsum(line.reshape(-1, step), axis=0).reshape(-1) % 256
    if kind == 2:
        return (line + above) % 256
    found = np.zeros(len(line) + step, np.int32)  # before it as many zeros as a pixel has bytes
    corner = np.concatenate([np.zeros(step, np.int32), above])
    for place in range(len(line)):
        left, up, diagonal = int(found[place]), int(above[place]), int(corner[place])
        if kind == 3:
            guess = (left + up) // 2
        else:
            distances = [abs(up - diagonal), abs(left - diagonal), abs(left + up - 2 * diagonal)]
            guess = (left, up, diagonal)[distances.index(min(distances))]
        found[place + step] = (int(line[place]) + guess) % 256
    return found[step:]


def figures(pack, answers):
    """What `export.verify` says of the file, from the logits of each set, [examples, classes]."""
    labels = np.array(pack["labels"])
    right = answers[0].argmax(axis=1) == labels
    recorded = [np.load(PACK / one["logits"]) for one in pack["sets"]]
    expected, found = (centered(np.concatenate(each)) for each in (recorded, answers))
    attacks = []
    for one, logits in zip(pack["sets"][1:], answers[1:]):
        broken = right & (logits.argmax(axis=1) != labels) & np.array(one["valid"])
        attacks.append({"attack": one["name"], "robust_accuracy": float((right & ~broken).mean())})
    return {
        "format": FORMAT,
        "model_sha256": pack["model_sha256"],
        "examples_sha256": pack["examples_sha256"],
        "attacks_sha256": pack["attacks_sha256"],
        "seed": pack["seed"],
        "examples": len(labels),
        "clean_accuracy": float(right.mean()),
        "attacks": attacks,
        "expected": pack["expected"],
        "flips": int((expected.argmax(axis=1) != found.argmax(axis=1)).sum()),
        "images": len(found),
        "largest": float(np.abs(found - expected).max()),
        "relative_rms": float(np.sqrt(np.mean((found - expected) ** 2)) / max(float(expected.std()), 1e-12)),
    }


def centered(logits):
    """Less their mean, which says nothing."""
    return logits.astype("float64") - logits.mean(axis=1, keepdims=True, dtype="float64")


def latency(seconds):
    """Milliseconds for an image: the median and the 90th percentile."""
    return {"median": float(np.median(seconds) * 1e3), "p90": float(np.quantile(seconds, 0.9) * 1e3)}


def print_figures(result):
    """A line for each figure, beside what the machine that made the pack has found."""
    expected = result["expected"]
    print(f"clean accuracy {result['clean_accuracy']:.2%}, where the pack was made {expected['clean_accuracy']:.2%}")
    for one, other in zip(result["attacks"], expected["robust_accuracy"]):
        print(
            f"robust accuracy under {one['attack']} {one['robust_accuracy']:.2%}, where the pack was made {other:.2%}"
        )
    print(
        f"logits differ by {result['largest']:.2g} at most, {result['relative_rms']:.2g} of their spread; "
        f"{result['flips']} of {result['images']} predictions differ"
    )
    times = result["latency_ms"]
    print(
        f"{times['median']:.3f} ms an image (median; 90 % within {times['p90']:.3f} ms), {result['device']['runtime']}"
    )


if __name__ == "__main__":
    main()
