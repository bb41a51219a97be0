"""Attacks that are compiled although their model is no TensorFlow function."""

import _thread
import gc
import signal
import threading
import time
import weakref

import numpy as np
import pytest
import tensorflow as tf

import tfrobust as tfr
from tests.support import classifiers
from tfrobust.errors import InputError
from tfrobust.evaluation.called import CalledModel
from tfrobust.evaluation.craft import AttackRunner

IMAGES = classifiers.random_images(10)
NETWORK = classifiers.smooth_network()
LABELS = np.argmax(NETWORK(IMAGES), axis=1).astype("int32")


class Local(tfr.targets.FunctionTarget):
    """A Python function that is said to be a model of this process; counts the calls, and from where they come."""

    local = True

    def __init__(self, function, access="score-based"):
        super().__init__(function, access, classes=4, name="local")
        self.asked, self.in_graphs, self.free = [], [], threading.Lock()

    def logits(self, images):
        assert self.free.acquire(blocking=False), "asked twice at once, as an interpreter must not be"
        self.asked.append(len(images))
        self.in_graphs.append(threading.current_thread() is not threading.main_thread())
        time.sleep(0.001)
        found = super().logits(images)
        self.free.release()
        return found


class Elsewhere(Local):
    local = False


class Counted(tfr.attacks.Square):
    """Says when it is run by Python: eagerly, or while a graph is made."""

    def run(self, problem):
        TRACED.append(self.queries)
        return super().run(problem)


TRACED: list[int] = []


def scores(images):
    return NETWORK(images).numpy()


def labels(images):
    return scores(images).argmax(axis=1)


@pytest.mark.parametrize(
    "text, function, access",
    [
        ("square(linf(0.2), queries=40)", scores, "score-based"),
        ("targeted(square(linf(0.3), queries=20), least_likely)", scores, "score-based"),
        ("spsa(linf(0.1), steps=3, samples=16)", scores, "score-based"),
        ("one_pixel(l0(4), population=8, steps=3)", scores, "score-based"),
        ("sparse_rs(l0(5), queries=30)", scores, "score-based"),
        ("budget(boundary(steps=20, tries=10), queries=30)", labels, "decision-based"),
        ("hop_skip_jump(linf, steps=2, samples=10, tries=10)", labels, "decision-based"),
        ("spatial(samples=5)", labels, "decision-based"),
        ("surviving(square(linf(0.2), queries=20), jpeg=90)", scores, "score-based"),
    ],
)
def test_it_asks_and_finds_what_the_same_attack_does_eagerly(text, function, access):
    """In batches of two sizes, for which it is traced once."""
    found = {}
    for kind in (Local, Elsewhere):
        target = kind(function, access)
        report = tfr.evaluate(target, IMAGES, LABELS, [text], config=tfr.evaluation.EvaluationConfig(batch_size=7))
        found[kind] = report.outcomes[0], target
        assert any(target.in_graphs) == (kind is Local)
    (compiled, local), (eager, elsewhere) = found.values()
    np.testing.assert_array_equal(compiled.images[np.arange(10)], eager.images[np.arange(10)])
    assert compiled.queries == eager.queries and sum(local.asked) >= sum(elsewhere.asked)
    assert eager.broken.any()


def test_it_is_traced_once_for_batches_of_any_size():
    traced = []

    def doubled(ask, images):
        traced.append(images.shape)
        return 2.0 * ask(images)

    call = CalledModel(Local(scores)).compiled(doubled)
    for size in (10, 3, 10):
        np.testing.assert_allclose(call(tf.constant(IMAGES[:size])), 2.0 * scores(IMAGES[:size]))
    assert [shape.as_list() for shape in traced] == [[None, *IMAGES.shape[1:]]]


def test_models_that_answer_alike_are_asked_by_one_graph():
    """Each finds what it finds eagerly; a model of other answers, and another attack, have graphs of their own."""
    TRACED.clear()
    other = classifiers.smooth_network(seed=1)

    def images_of(kind, function, queries=30):
        attack = Counted(tfr.balls.Linf(0.2), queries=queries)
        found = tfr.evaluate(kind(function), IMAGES, LABELS, [attack])
        return found.outcomes[0].images[np.arange(10)]

    for function in (scores, lambda images: other(images).numpy()):
        np.testing.assert_array_equal(images_of(Local, function), images_of(Elsewhere, function))
    assert TRACED == [30, 30, 30]  # compiled, and eagerly for each
    images_of(Local, scores, queries=20)
    images_of(Local, lambda images: np.pad(scores(images), [(0, 0), (0, 1)], constant_values=-9.0))
    assert TRACED[3:] == [20, 30]


@pytest.mark.parametrize("kind", [Local, Elsewhere])
def test_an_attack_may_hold_a_function_that_calls_itself_and_what_changes(kind):
    """A cascade of it keeps the names of its stages."""
    runs = []

    def counted(number):
        return counted(number - 1) if number else runs.append(number)

    class Recursive(tfr.attacks.Square):
        def run(self, problem):
            counted(3)
            return super().run(problem)

    ball = tfr.balls.Linf(0.01)
    attack = tfr.attacks.Cascade(ball, (Recursive(ball, queries=3), Counted(ball, queries=3)))
    found = tfr.evaluate(kind(scores), IMAGES, LABELS, [attack])
    assert runs == [0]
    assert len(found.report["attacks"][0]["stages"]) == 2


def test_a_graph_does_not_keep_the_model_that_it_has_asked():
    target = Local(scores)
    AttackRunner("s", tfr.attacks.parse("square(linf(0.1), queries=5)"), target).run(
        IMAGES, LABELS, tfr.seeds.per_example(0, np.arange(10)), 10
    )
    kept = weakref.ref(target)
    del target
    gc.collect()
    assert kept() is None


def test_what_the_model_raises_comes_out_as_it_is():
    def fails(images):
        target.free.release()
        raise InputError("the device is gone")

    target = Local(fails)

    runner = AttackRunner("s", tfr.attacks.parse("square(linf(0.1), queries=5)"), target, "float")
    keys = tfr.seeds.per_example(0, np.arange(10))
    with pytest.raises(InputError, match=r"^the device is gone$"):
        runner.run(IMAGES, LABELS, keys, 10)


def test_whoever_waits_for_it_can_be_interrupted():
    """The signal comes at the third question of a thousand; after it the attack is not waited for."""

    def interrupted(images):
        if len(target.asked) == 3:
            _thread.interrupt_main()
        return scores(images)

    target = Local(interrupted)
    runner = AttackRunner("s", tfr.attacks.parse("square(linf(0.001), queries=1000)"), target, "float")
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test's process may ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            runner.run(IMAGES, LABELS, tfr.seeds.per_example(0, np.arange(10)), 10)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert 3 <= len(target.asked) < 900
