"""How many queries an attack has left for each example, for models whose answers cost money or raise alarms."""

import threading

import numpy as np
import tensorflow as tf


class Meter:
    """Counts queries per example in Python, from wherever TensorFlow calls: compiled or eager, from several threads."""

    def __init__(self):
        self._lock = threading.Lock()
        self._left = np.zeros(0, np.int64)

    def start(self, rows, queries: int) -> tf.Tensor:
        """Starts anew with so many for each of these examples, int32 [examples]; returns their numbers, `rows`.

        Whoever uses these numbers asks after the start, in a graph too.
        """
        return tf.ensure_shape(tf.numpy_function(self._start, [rows, queries], tf.int32), rows.shape)

    def take(self, rows) -> tf.Tensor:
        """One query for each of these numbers, int32 [rows], which may repeat: bool, whether there was one left."""
        return tf.ensure_shape(tf.numpy_function(self._take, [rows], tf.bool), rows.shape)

    def _start(self, rows, queries):
        self._left = np.zeros(rows.max(initial=-1) + 1, np.int64)
        self._left[rows] = queries
        return rows

    def _take(self, rows):
        order = np.argsort(rows, kind="stable")
        earlier = np.empty_like(rows)  # how often the same row stands before: [7, 3, 7, 7] -> [0, 0, 1, 2]
        earlier[order] = np.arange(len(rows)) - np.searchsorted(rows[order], rows[order])
        with self._lock:
            allowed = earlier < self._left[rows]
            np.subtract.at(self._left, rows[allowed], 1)
        return allowed
