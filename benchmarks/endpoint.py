"""Whether a server is kept busy: how much of the time of an attack is spent in the model that is served.

    python -m benchmarks.endpoint --model=runs/normal/model.keras --dataset=cifar10 --examples=100

Exports the model, serves it by the gRPC server of the tests in a process of its own, with one thread, and attacks it by Square. Of the
requests in the middle of the run (from a fifth to nine tenths of its time, when nothing starts or ends any more) the server writes
when it began and ended to compute; the share of the time that these cover, and the images a second, are printed, beside the images
a second that the same SavedModel computes in a process that does nothing else.
"""

import pathlib
import subprocess
import sys
import tempfile
import time

from absl import flags

import tfrobust as tfr
from tfrobust.cli import data, program

MODEL = flags.DEFINE_string("model", None, "A .keras file.", required=True)
DATASET = flags.DEFINE_string("dataset", "cifar10", "Where the images come from: the first test images.")
EXAMPLES = flags.DEFINE_integer("examples", 100, "How many.", lower_bound=1)
QUERIES = flags.DEFINE_integer("queries", 50, "Of Square, on each image.", lower_bound=2)
_SERVER = "tests.support.servers.prediction_service"


def main():
    with tempfile.TemporaryDirectory() as folder:
        base, counted = pathlib.Path(folder, "model"), pathlib.Path(folder, "counted")
        subprocess.run(
            [sys.executable, "-m", "export.saved_model", f"--model={MODEL.value}", f"--output={base}"], check=True
        )
        command = [sys.executable, "-m", _SERVER, f"--base={base}", "--name=model", f"--counted={counted}"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            address = f"grpc://127.0.0.1:{int(server.stdout.readline())}/model"
            images = data.from_flags().load(DATASET.value, "test", EXAMPLES.value)
            attack = (
                f"square(linf(0.001), queries={QUERIES.value})"  # in so small a ball nearly all images stand to the end
            )
            started = time.monotonic()
            tfr.evaluate(address, images, None, attack, progress=False)
            ended = time.monotonic()
        finally:
            server.kill()
            server.wait()
        requests = [tuple(map(float, line.split())) for line in counted.read_text().splitlines()]
        _print(requests, started + 0.2 * (ended - started), started + 0.9 * (ended - started))
        _print_alone(base, images.floats(), round(max(count for count, *_ in requests)))


def _print(requests, start, end):
    """The share of the time that the server computes: it has one thread, so that requests do not overlap."""
    clipped = [
        (count, max(begin, start), min(stop, end)) for count, begin, stop in requests if begin < end and stop > start
    ]
    busy = sum(stop - begin for _, begin, stop in clipped)
    images = sum(count for count, begin, _ in requests if start <= begin < end)
    print(f"server computes {busy / (end - start):.1%} of {end - start:.1f} s, {images / (end - start):.0f} images/s")


def _print_alone(base, images, batch_size):
    """The speed of the SavedModel in this process, asked as the server was."""
    predict = tfr.targets.SavedModelTarget(base).predictor()
    batch = images[:batch_size]
    predict(batch)
    started, rounds = time.monotonic(), 30
    for _ in range(rounds):
        predict(batch)
    print(f"alone {rounds * len(batch) / (time.monotonic() - started):.0f} images/s, {len(batch)} at a time")


flags.adopt_module_key_flags(data)

if __name__ == "__main__":
    program.run(main)
