"""A progress bar that moves inside a batch, too: one batch of a black-box attack may ask a model for an hour."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import tensorflow as tf
import tqdm

_NAME = 40  # letters of an attack's text
_EVERY = 1.0  # seconds


class Asking(Protocol):
    """What asks a model, and counts."""

    def asked(self) -> int:
        """How many images the model was asked about so far; called from another thread."""


@contextlib.contextmanager
def bar(name: str, images: int, asking: Sequence[Asking], shown: bool) -> Iterator[Callable[[int, float], None]]:
    """A bar on a terminal that is gone in the end: how many images are done, and every second how many were asked about.

    Args:
      name: of what is done.
      images: how many there are.
      asking: who ask the model.
      shown: whether to show it, if there is a terminal.

    Yields:
      A function that says that so many more are done, and which share of all examples still stands.
    """
    short = name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
    options = {"unit": "image", "leave": False, "dynamic_ncols": True, "disable": None if shown else True}
    with tqdm.tqdm(total=images, desc=short, **options) as shown_bar, contextlib.ExitStack() as stack:
        facts = {}

        def done(count, robust):
            facts["robust"] = f"{robust:.2%}"
            shown_bar.set_postfix(dict(facts), refresh=False)
            shown_bar.update(count)

        if not (shown_bar.disable or tf.distribute.has_strategy()):  # replicas' counters are read in their scope alone
            over = threading.Event()
            thread = threading.Thread(target=_watch, args=(shown_bar, facts, asking, over), daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(over.set)
        yield done


def _watch(shown_bar, facts, asking, over):
    before = sum(one.asked() for one in asking)
    while not over.wait(_EVERY):
        facts["queries"] = tqdm.tqdm.format_sizeof(sum(one.asked() for one in asking) - before)
        shown_bar.set_postfix(dict(facts))
