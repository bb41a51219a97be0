"""Runs a TFLite file as a device does, in processes of its own: what does not run there must not be shipped.

    python -m export.runtime lenet_int8.tflite xnnpack

runs it under one of `KERNELS` in batches of 1 and 4 (or of the one size that it takes) and prints a JSON object for each: the
batch, milliseconds (the median of 20 runs, one thread) and MiB (by how much the peak of the process's memory has grown since
before it was opened), or the error. TensorFlow is not loaded.
"""

import json
import math
import pathlib
import subprocess
import sys
import tempfile
from typing import NamedTuple

KERNELS = ("xnnpack", "builtin")  # the interpreter's default, and its own kernels without a delegate
_BATCHES = (1, 4)
_RUNS = 20
_SECONDS = 120  # after which a file hangs


class Run(NamedTuple):
    """A file under one set of kernels at one batch size.

    Attributes:
      kernels, batch: see `KERNELS`; None where the process ended before it said.
      milliseconds, mebibytes: of one batch; None where there is an error.
      error: a line, or None.
    """

    kernels: str
    batch: int | None
    milliseconds: float | None = None
    mebibytes: float | None = None
    error: str | None = None


def run(path) -> list[Run]:
    """Runs a file under all kernels. Neither a crash nor a hang reaches this process."""
    return [found for kernels in KERNELS for found in _run_in_child(str(path), kernels)]


def benchmark(path) -> float:
    """Milliseconds of a batch as large as the file says, else of one image: by `litert-benchmark`, the median, one thread.

    NaN where it does not run the file. It runs files as apps do (LiteRT's CompiledModel), not by the interpreter.
    """
    command = [sys.executable, "-m", "ai_edge_litert.tools.benchmark_litert_model", "--model", str(path)]
    with tempfile.TemporaryDirectory() as folder:
        result = pathlib.Path(folder, "result.json")
        try:
            subprocess.run(
                [*command, "--num_threads=1", f"--result_json={result}"],
                capture_output=True,
                timeout=_SECONDS,
                check=True,
            )
            return float(json.loads(result.read_text())["latency"]["median_ms"])
        except (subprocess.SubprocessError, OSError, ValueError):
            return math.nan


def _run_in_child(path, kernels):
    command = [sys.executable, "-m", "export.runtime", path, kernels]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return [Run(kernels, None, error=f"it did not end within {_SECONDS} s")]
    found = [Run(kernels, **json.loads(line)) for line in done.stdout.splitlines()]
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        how = f"ended by signal {-done.returncode}" if done.returncode < 0 else said
        found.append(Run(kernels, None, error=f"the process {how}"))
    return found


def main(path, kernels):
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.AUTO if kernels == "xnnpack" else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    before = _peak()
    for size in _BATCHES:
        batch, fixed = size, False
        try:
            interpreter = Interpreter(path, num_threads=1, experimental_op_resolver_type=resolver)
            given = interpreter.get_input_details()[0]
            fixed = len(given["shape_signature"]) > 0 and given["shape_signature"][0] > 0
            if fixed:
                batch = int(given["shape"][0])
            else:
                interpreter.resize_tensor_input(given["index"], [batch, *given["shape"][1:]])
            interpreter.allocate_tensors()
            noise = np.random.default_rng(0).random([batch, *given["shape"][1:]])
            steps = 1 if np.issubdtype(given["dtype"], np.floating) else np.iinfo(given["dtype"]).max
            interpreter.set_tensor(given["index"], (noise * steps).astype(given["dtype"]))
            times = [_milliseconds(interpreter.invoke) for _ in range(_RUNS)]
            found = {"batch": batch, "milliseconds": sorted(times)[_RUNS // 2], "mebibytes": (_peak() - before) / 1024}
        except (RuntimeError, ValueError) as error:
            found = {"batch": batch, "error": str(error).strip().splitlines()[0]}
        print(json.dumps(found), flush=True)
        if fixed:
            return


def _peak():
    """KiB. The system's count for `getrusage` begins with that of the process that started this one."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    except OSError:  # not Linux
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _milliseconds(function):
    import time

    started = time.perf_counter()
    function()
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    main(*sys.argv[1:])
