"""Measuring on one pinned core: medians of interleaved runs, so that a noisy machine disturbs all sides alike."""

import os
import resource
import statistics
import time


def pin_to_one_core():
    """Confines this process to one core, and TensorFlow to one thread. Call it before TensorFlow is used."""
    import tensorflow as tf

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def interleaved_medians(functions, rounds, clock=time.perf_counter):
    """Runs every function once per round, after one round to warm up.

    Args:
      functions: name -> function without arguments.
      rounds: how often.
      clock: what counts seconds; `time.process_time` does not count what other processes do on the core meanwhile.

    Returns:
      name -> median seconds.
    """
    seconds = {name: [] for name in functions}
    for round_number in range(rounds + 1):
        for name, function in functions.items():
            started = clock()
            function()
            if round_number:
                seconds[name].append(clock() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def peak_memory():
    """The largest resident size of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
