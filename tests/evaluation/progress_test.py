"""A progress bar is for a terminal, and moves inside a batch, too."""

import io
import sys
import time

import pytest

from tests.support.terminals import Terminal
from tfrobust.evaluation import progress


class Model:
    """What was asked 1,500 times before the bar, and is asked as often whenever somebody looks."""

    times = 0

    def asked(self):
        self.times += 1
        return 1500 * self.times


@pytest.fixture
def shown(monkeypatch):
    """Where a bar goes that looks at its models every hundredth of a second."""
    monkeypatch.setattr(progress, "_EVERY", 0.01)

    def on(stream, images=4, shown=True):
        monkeypatch.setattr(sys, "stderr", stream)
        with progress.bar("square(linf(0.1))", images, [Model()], shown) as done:
            time.sleep(0.2)
            done(3, 0.25)
        return stream.getvalue()

    return on


def test_it_says_how_often_the_model_was_asked_before_a_batch_is_done(shown):
    said = shown(Terminal())
    assert "square(linf(0.1))" in said and "0/4" in said and "queries=1.50k" in said
    assert "queries=1.50k" not in said[said.index("3/4") :] and "robust=25.00%" in said


def test_it_is_gone_in_the_end(shown):
    assert shown(Terminal()).split("\r")[-2].strip() == ""


@pytest.mark.parametrize("stream, wanted", [(io.StringIO, True), (Terminal, False)])
def test_a_file_or_who_does_not_want_it_gets_none(shown, stream, wanted):
    assert shown(stream(), shown=wanted) == ""
