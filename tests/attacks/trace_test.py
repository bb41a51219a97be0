"""The record of each example's best margin, question by question, against what the model itself was asked."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import attacks, balls, seeds
from tfrobust.attacks.problem import Problem
from tfrobust.attacks.trace import Trace

SHAPE, CLASSES = (5, 4, 1), 5
IMAGES = classifiers.random_images(6, SHAPE, low=0.4, high=0.6)
BALL = balls.Linf(0.15)


def rows(images):
    """Logits: the sum of each row."""
    return tf.reduce_sum(images, axis=[2, 3])


LABELS = np.argmax(rows(IMAGES), axis=1).astype("int32")
KEYS = seeds.per_example(0, tf.range(6))


def solved(attack, trace, model=rows, labels=LABELS):
    problem = Problem(model, IMAGES, labels, keys=KEYS, trace=trace)
    return attack.solve(problem)


def graph(attack, trace, model=rows):
    return tf.function(lambda: solved(attack, trace, model), autograph=False)()


def final_margins(images):
    return Problem(rows, IMAGES, LABELS).margin(images).numpy()


NEEDED = np.sort(-final_margins(IMAGES)) / 8  # the linf radius that breaks each: two rows of four values move
WEAK = [attacks.fgsm(balls.Linf(float(NEEDED[k : k + 2].mean()))) for k in (1, 3)]  # leave four, and two


def test_records_the_best_margin_so_far_of_each_row():
    trace = Trace()
    np.testing.assert_array_equal(trace.start(tf.range(3)), [0, 1, 2])
    trace.record(tf.constant([0, 1, 2]), tf.constant([-1.0, -2.0, -3.0]))
    trace.record(tf.constant([2, 0, 2]), tf.constant([-5.0, 1.0, -2.5]))
    trace.record(tf.constant([1]), tf.constant([-9.0]))
    np.testing.assert_array_equal(trace.best(), [[-1, 1], [-2, -2], [-3, -2.5]])
    np.testing.assert_array_equal(trace.questions(), [1, 2])
    np.testing.assert_array_equal(trace.asked(), [2, 2, 2])
    trace.start(tf.range(2))
    assert trace.best().shape == (2, 1) and trace.stages == []


def test_columns_of_many_questions_are_few_and_end_with_the_last():
    trace = Trace()
    trace._start(np.arange(2, dtype=np.int32))
    for number in range(1, 40_001):
        trace._record(np.array([1], np.int32), np.array([number], np.float32))
    best, questions = trace.best(), trace.questions()
    assert best.shape == (2, len(questions)) and 340 <= len(questions) <= 380
    np.testing.assert_array_equal(best[1], questions)
    np.testing.assert_array_equal(questions[:64], np.arange(1, 65))
    assert questions[-1] == 40_000 and (np.diff(questions) > 0).all() and (questions[1:] / questions[:-1] < 2.01).all()
    assert (questions[65:] / questions[64:-1]).max() < 1.04


ITERATIVE = [
    attacks.bim(BALL, steps=70),  # asks about all examples each time
    attacks.Restricted(attacks.bim(BALL, steps=3), np.ones([5, 4], bool)),
    attacks.Expectation(attacks.bim(BALL, steps=3), samples=1),
]


@pytest.mark.parametrize("attack", ITERATIVE, ids=str)
def test_the_columns_are_the_best_of_what_the_model_was_asked(attack):
    margins, trace = [], Trace()

    def model(images):
        margins.append(final_margins(images))
        return rows(images)

    solved(attack, trace, model)
    so_far = np.maximum.accumulate(margins)
    np.testing.assert_allclose(trace.best().T, so_far[trace.questions() - 1], rtol=1e-5)
    assert trace.questions()[-1] == len(margins)


@pytest.mark.parametrize("wrap", [solved, graph], ids=["eager", "graph"])
@pytest.mark.parametrize(
    "attack",
    [
        attacks.Square(BALL, queries=30),
        attacks.Budget(attacks.Square(BALL, queries=30), 20),
        attacks.apgd(BALL, steps=5),
    ],
    ids=str,
)
def test_ends_with_the_margins_of_what_the_attack_returns(wrap, attack):
    trace = Trace()
    made = wrap(attack, trace)
    assert (np.diff(trace.best()) >= 0).all()
    np.testing.assert_allclose(trace.best()[:, 0], final_margins(IMAGES), rtol=1e-5)
    np.testing.assert_allclose(trace.best()[:, -1], final_margins(made), rtol=1e-4)


def test_eager_and_graph_record_the_same_in_the_same_order():
    attack = attacks.Square(BALL, queries=90)
    traces = Trace(), Trace()
    solved(attack, traces[0])
    graph(attack, traces[1])
    np.testing.assert_allclose(traces[0].best(), traces[1].best(), rtol=1e-5)


def test_a_compiled_call_starts_anew_and_records_what_it_alone_asked():
    trace = Trace()
    run = tf.function(lambda labels: solved(attacks.bim(BALL, steps=3), trace, labels=labels), autograph=False)
    for labels in (LABELS, (LABELS + 1) % CLASSES):  # the second time all are a success
        run(tf.constant(labels))
        first = Problem(rows, IMAGES, labels).margin(IMAGES)
        np.testing.assert_allclose(trace.best()[:, 0], first, rtol=1e-5)
    assert trace.questions().tolist() == [1]


def test_answers_with_labels_count_as_plus_or_minus_one():
    trace = Trace()
    attack = attacks.HopSkipJump(steps=1, samples=10, tries=30)
    solved(attack, trace, model=lambda images: tf.argmax(rows(images), axis=1))
    assert set(np.unique(trace.best())) == {-1.0, 1.0} and (trace.best()[:, 0] == -1).all()


def test_draws_of_a_random_model_are_one_question():
    state = tf.Variable(0.0)

    def random(images):
        return rows(images) + 100.0 * (state.assign_add(1.0) % 2.0)[..., None, None] * tf.one_hot([0], CLASSES)

    trace = Trace()
    Problem(random, IMAGES, LABELS * 0 + 1, trace=trace).averaged(2).answers(IMAGES)
    assert trace.questions().tolist() == [1] and (trace.best() > 40).all() and (trace.best() < 60).all()


@pytest.mark.parametrize("wrap", [solved, graph], ids=["eager", "graph"])
def test_a_cascade_says_what_each_attack_left(wrap):
    trace, parts = Trace(), (*WEAK, attacks.bim(BALL, steps=2))
    cascade = attacks.Cascade(BALL, parts)
    made = wrap(cascade, trace)
    assert [stage.attack for stage in trace.stages] == [str(part) for part in parts]
    standing = [stage.standing.tolist() for stage in trace.stages]
    alone = [np.flatnonzero(final_margins(part(rows, IMAGES, LABELS, seed=0)) <= 0).tolist() for part in parts]
    assert standing == [alone[0], alone[1], []] and [len(rows) for rows in standing] == [4, 2, 0]
    assert (final_margins(made) > 0).all()


def test_a_budget_inside_of_a_cascade_keeps_the_rows_of_the_batch():
    trace = Trace()
    inner = attacks.Budget(attacks.Square(BALL, queries=50, p=0.2), queries=40)
    solved(attacks.Cascade(BALL, (WEAK[1], inner)), trace)
    first = trace.stages[0].standing
    before, after = trace.best()[:, 2], trace.best()[:, -1]
    assert len(first) == 2 and set(np.flatnonzero(after > before)) <= set(first)


def test_gradients_do_not_notice():
    """Of the problem's own answers, first and second order."""

    def hessian(trace):
        x = tf.constant(IMAGES)
        with tf.GradientTape() as tape:
            tape.watch(x)
            problem = Problem(lambda x: rows(x**3), x, LABELS, trace=trace)
            _, pullback = problem.pullback(x)
            slope = tf.reduce_sum(pullback(tf.one_hot(LABELS, CLASSES)) ** 2)
        return tape.gradient(slope, x)

    np.testing.assert_array_equal(hessian(Trace()), hessian(None))
    assert np.abs(hessian(None)).max() > 0


def test_records_from_several_threads():
    trace = Trace()
    trace._start(np.arange(4, dtype=np.int32))

    def ask(row):
        for _ in range(500):
            trace._record(np.array([row], np.int32), np.array([row], np.float32))

    threads = [threading.Thread(target=ask, args=(row,)) for row in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert trace.questions()[-1] == 500 and trace.best()[:, -1].tolist() == [0, 1, 2, 3]


def test_what_is_asked_outside_of_the_ball_is_no_success():
    """FAB walks outside: its success there is not one in its ball."""
    ball = balls.Linf(float(NEEDED[2]) / 2)
    trace, everywhere = Trace(ball), Trace()
    for one in (trace, everywhere):
        made = solved(attacks.FAB(ball, steps=3), one)
    np.testing.assert_array_equal(trace.best()[:, -1] > 0, final_margins(made) > 0)
    assert (everywhere.best()[:, -1] > 0).sum() > (trace.best()[:, -1] > 0).sum()
