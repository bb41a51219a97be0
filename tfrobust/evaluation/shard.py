"""Which part of the examples one process attacks."""

from typing import NamedTuple

import numpy as np


class Shard(NamedTuple):
    """Every count-th example, from one on: `examples[index::count]`. All of them, unless it is said.

    Example:
      >>> Shard(1, 3).places(np.arange(3)).tolist()
      [1, 4, 7]
    """

    index: int = 0  # type: ignore[assignment]  # a field hides the method of a tuple
    count: int = 1  # type: ignore[assignment]  # likewise

    def places(self, rows: np.ndarray) -> np.ndarray:
        """Where the shard's own rows stand among all examples, by which they get their random draws."""
        return self.index + self.count * rows

    def rows(self, examples: int) -> slice:
        """The shard's rows of so many examples."""
        return slice(self.index, examples, self.count)
