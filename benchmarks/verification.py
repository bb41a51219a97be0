"""What `export.verify` takes, beside the reference's own evaluation and the bare forward passes of the files.

    python -m benchmarks.verification --reference=lenet.keras --artifact=lenet_float32.tflite --artifact=lenet_int8.tflite \\
        --dataset=mnist --examples=500 --attack='pgd(linf(0.1), steps=40)'

It takes the flags of `export.verify`, runs it and notes every batch that a LiteRT interpreter is given. Then the reference is
evaluated alone, and the same batches are run once more, one after the other, by interpreters and nothing else. Printed are
seconds of all three, by the clock and of processor time, and how often the first is the sum of the others. TensorFlow's
start is part of none.
"""

import collections
import contextlib
import io
import time

from absl import flags

from export import verify
from tfrobust.cli import attacks, data, program, quiet


def main():
    quiet.start_tensorflow()
    from ai_edge_litert import interpreter

    batches, original = collections.Counter(), interpreter.Interpreter

    class Noted(original):
        """Counts the batches of the artifacts by how it was opened and their shape."""

        def __init__(self, model_path, **opened):
            super().__init__(model_path, **opened)
            self._opened = model_path, tuple(opened.items())

        def invoke(self):
            if self._opened[0] in verify.ARTIFACT.value:
                batches[self._opened, tuple(self.get_input_details()[0]["shape"])] += 1
            super().invoke()

    interpreter.Interpreter = Noted
    verified, printed = measured(lambda: _silently(verify.main))
    interpreter.Interpreter = original
    evaluated, _ = measured(evaluate_reference)
    passed, _ = measured(lambda: [run(original, *of, times) for of, times in batches.items()])
    images = sum(shape[0] * times for (_, shape), times in batches.items())
    print(printed.splitlines()[0])
    rows = {
        "verify": verified,
        "reference alone": evaluated,
        f"{images:,} images through the files alone": passed,
        "ratio": [whole / (one + other) for whole, one, other in zip(verified, evaluated, passed)],
    }
    for name, (clock, processor) in rows.items():
        print(f"{name:45}{clock:8.2f}{processor:8.2f}")


def evaluate_reference():
    """As `export.verify` does it: on all images, with all checks."""
    import tfrobust as tfr

    plan = attacks.from_flags()
    targets, test = attacks.prepared(plan, data.from_flags(), [verify.REFERENCE.value])
    tfr.evaluate(targets[verify.REFERENCE.value], test, None, plan.parsed(), config=plan.config())


def run(kind, opened, shape, times):
    """Runs an interpreter that was opened so on a batch of this shape, several times."""
    path, settings = opened
    found = kind(path, **dict(settings))
    found.resize_tensor_input(found.get_input_details()[0]["index"], shape)
    found.allocate_tensors()
    for _ in range(times):
        found.invoke()


def measured(function):
    """Its seconds by the clock and of processor time, and what it returns."""
    clock, processor = time.perf_counter(), time.process_time()
    result = function()
    return [time.perf_counter() - clock, time.process_time() - processor], result


def _silently(function):
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        function()
    return printed.getvalue()


flags.adopt_module_key_flags(verify)

if __name__ == "__main__":
    program.run(main)
