"""Attacks made of attacks."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.support import classifiers
from tfrobust import attacks, balls, seeds
from tfrobust.attacks.problem import Problem
from tfrobust.errors import InputError

IMAGES = classifiers.random_images(12)
NETWORK = classifiers.smooth_network()
LABELS = np.argmax(NETWORK(IMAGES), axis=1).astype("int32")
PIXELS = np.arange(30).reshape(6, 5) % 3 == 0
BALL = balls.Linf(0.1)


def logits_fn(images):
    return NETWORK(images, training=False)


def run(attack, seed=0):
    """Eagerly: a graph is not worth its tracing for a few steps."""
    return attack(logits_fn, tf.constant(IMAGES), tf.constant(LABELS), seed=seed).numpy()


def broken(adversarial):
    return np.argmax(NETWORK(adversarial), axis=1) != LABELS


# ---- cascade ----


@dataclasses.dataclass(frozen=True)
class Recorder(attacks.Attack):
    """Breaks (two classes, one value) the images below a limit by making them black; leaves a trace in the others."""

    limit: float
    seen: list

    name, needs = "recorder", attacks.Access.SCORE_BASED

    def run(self, problem):
        self.seen.append((problem.images.numpy().ravel().tolist(), problem.keys[:, 1].numpy().tolist()))
        return tf.where(problem.images < self.limit, 0.0, problem.images + 0.01)


def step_model(images):
    bright = tf.reshape(images, [-1])
    return tf.stack([bright, tf.fill(tf.shape(bright), 0.05)], axis=1)


def test_each_attack_of_a_cascade_sees_the_clean_images_of_what_is_left():
    seen = []
    images = tf.reshape(tf.constant([0.3, 0.01, 0.1, 0.6, 0.2]), [5, 1, 1, 1])  # the second one is misclassified
    cascade = attacks.Cascade(BALL, tuple(Recorder(limit, seen) for limit in (0.15, 0.25, 0.35, 0.36)))
    found = tf.reshape(cascade(step_model, images, tf.zeros([5], tf.int32), seed=0), [-1])
    images_seen = [np.round(images, 6).tolist() for images, _ in seen]
    assert [rows for _, rows in seen] == [[0, 2, 3, 4], [0, 3, 4], [0, 3], [3]]
    assert images_seen == [[0.3, 0.1, 0.6, 0.2], [0.3, 0.6, 0.2], [0.3, 0.6], [0.6]]
    np.testing.assert_allclose(found, [0.0, 0.01, 0.0, 0.6, 0.0])


# ---- pruned ----


def gray_model(images):
    """Three classes whose difference of logits ratio is the image's gray, whatever `10.0` is."""
    gray = tf.reshape(images, [-1])
    return 10.0 * tf.stack([gray, tf.zeros_like(gray), gray - 1.0], axis=1)


@dataclasses.dataclass(frozen=True)
class Darker(attacks.Attack):
    """Takes so much gray away, and records the seeds of whom it was run on."""

    ball: balls.Ball = BALL
    by: float = 0.1
    seen: list = dataclasses.field(default_factory=list, compare=False)

    name, needs = "darker", attacks.Access.SCORE_BASED

    def run(self, problem):
        self.seen.append(problem.rows.numpy().tolist())
        return problem.images - self.by


def test_a_pruned_attack_runs_on_what_the_probe_came_near_to_and_keeps_what_that_broke():
    probe, attack = Darker(by=0.2), Darker(by=0.45)
    images = tf.reshape(tf.constant([0.1, 0.3, 0.4, 0.9]), [4, 1, 1, 1])
    found = attacks.Pruned(attack, probe, within=0.15)(gray_model, images, tf.zeros([4], tf.int32), seed=0)
    # The probe leaves ratios of -0.1 (broken), 0.1, 0.2 and 0.7: only the second one is within 0.15.
    assert probe.seen == [[0, 1, 2, 3]] and attack.seen == [[1]]
    np.testing.assert_allclose(tf.reshape(found, [-1]), [-0.1, -0.15, 0.2, 0.7], atol=1e-6)


def test_with_two_classes_nothing_is_pruned():
    probe, attack = Darker(by=0.01), Darker(by=0.01)
    images = tf.reshape(tf.constant([0.3, 0.9]), [2, 1, 1, 1])
    attacks.Pruned(attack, probe)(step_model, images, tf.zeros([2], tf.int32), seed=0)
    assert attack.seen == [[0, 1]]


@pytest.mark.parametrize("probe", [attacks.pgd(balls.Linf(0.2)), attacks.DeepFool(), "pgd(linf(0.1))"])
def test_a_probe_in_another_ball_is_refused(probe):
    with pytest.raises(InputError, match="probe must be an attack in the same ball"):
        attacks.Pruned(attacks.apgd(BALL), probe)


def test_no_attack_of_a_cascade_runs_on_nothing():
    seen = []
    images = tf.fill([2, 1, 1, 1], 0.1)
    attacks.Cascade(BALL, (Recorder(1.0, seen),) * 3)(step_model, images, tf.zeros([2], tf.int32), seed=0)
    assert len(seen) == 1


def test_a_cascade_needs_what_the_most_demanding_attack_needs():
    square, boundary, pgd = attacks.Square(BALL), attacks.Boundary(), attacks.pgd(BALL)
    assert attacks.Cascade(BALL, (boundary, square)).needs is attacks.Access.SCORE_BASED
    assert attacks.Cascade(BALL, (square, pgd, boundary)).needs is attacks.Access.WHITE_BOX


@pytest.mark.parametrize("parts", [(), ("pgd",), (attacks.PGD,)])
def test_what_is_no_cascade_is_refused(parts):
    with pytest.raises(InputError, match="a cascade takes"):
        attacks.Cascade(BALL, parts)


# ---- restricted ----


@pytest.mark.parametrize("inner", ["pgd(linf(0.2), steps=10)", "pgd(l2(2.0), steps=10)", "deepfool()"])
def test_a_restricted_attack_changes_no_other_pixel_and_breaks_images_within_them(inner, tmp_path):
    np.save(tmp_path / "pixels.npy", PIXELS)
    attack = attacks.parse(f"restricted({inner}, {str(tmp_path / 'pixels.npy')!r})")
    adversarial = run(attack)
    np.testing.assert_array_equal(adversarial[:, ~PIXELS], IMAGES[:, ~PIXELS])
    assert broken(adversarial).sum() >= 6 and (adversarial[:, PIXELS] != IMAGES[:, PIXELS]).any()


def test_all_pixels_are_no_restriction():
    attack = attacks.pgd(balls.Linf(0.05), steps=5)
    np.testing.assert_array_equal(run(attacks.Restricted(attack, np.ones([6, 5], bool))), run(attack))


@pytest.mark.parametrize("ball", [balls.Linf(0.2), balls.L2(0.4)], ids=str)
def test_a_random_start_spends_the_whole_radius_within_the_mask(ball):
    """A twelfth of the values may change: of an l2 draw from the whole ball, less than a third would be left."""
    shown, first = [], np.zeros([6, 5], bool)
    first[0, 0] = first[3, 3] = True

    def constant(images):
        shown.append(images.numpy() - IMAGES)
        return tf.one_hot(tf.fill([12], 1), 4) + 0.0 * tf.reduce_sum(images, axis=[1, 2, 3])[:, None]

    for inner in (attacks.pgd(ball, steps=1), attacks.apgd(ball, steps=1)):
        shown.clear()
        attacks.Restricted(inner, first)(constant, tf.constant(IMAGES), np.ones(12, "int32"), seed=0)
        start = shown[1]
        assert (start[:, ~first] == 0).all() and (ball.size(start) <= ball.radius * (1 + 1e-5)).numpy().all()
        assert np.median(ball.size(start)) > 0.8 * ball.radius


def test_the_problem_confines_perturbations():
    problem = Problem(logits_fn, IMAGES, LABELS)
    np.testing.assert_array_equal(problem.confine(tf.ones_like(IMAGES)), np.ones_like(IMAGES))
    np.testing.assert_array_equal(
        problem.confined(PIXELS[None, :, :, None]).confine(tf.ones_like(IMAGES))[0, ..., 0], PIXELS
    )


def test_two_restrictions_leave_what_both_allow():
    attack = attacks.Restricted(attacks.pgd(balls.Linf(0.2), steps=3), PIXELS)
    adversarial = run(attacks.Restricted(attack, np.arange(30).reshape(6, 5) % 2 == 0))
    allowed = np.arange(30).reshape(6, 5) % 6 == 0
    np.testing.assert_array_equal(adversarial[:, ~allowed], IMAGES[:, ~allowed])
    assert (adversarial[:, allowed] != IMAGES[:, allowed]).any()


def test_pixels_of_another_size_are_refused():
    with pytest.raises(InputError, match=r"pixels are \(5, 6\), but the images \(6, 5\)"):
        run(attacks.Restricted(attacks.DeepFool(), PIXELS.T))


# ---- expectation ----


def test_expectation_follows_the_mean_gradient_of_the_draws():
    """Logits (s x, 0) with s drawn from 3, -1 in turn: one draw may point either way, the mean points up."""
    state = tf.Variable(0)

    def random_fn(images):
        scale = tf.gather([3.0, -1.0], state.assign_add(1) % 2)
        score = scale * images[:, 0, 0, 0]
        return tf.stack([0.6 + tf.zeros_like(score), score], axis=1)

    images = tf.constant([[[[0.5]]]])
    attack = attacks.Expectation(attacks.fgsm(balls.Linf(0.1)), samples=2)
    np.testing.assert_allclose(attack(random_fn, images, tf.constant([0]), seed=0), [[[[0.6]]]], rtol=1e-6)
    problem = Problem(random_fn, images, [0])
    single = [problem.ascend(lambda logits: logits[:, 1], images).gradient.numpy().item() for _ in range(2)]
    assert sorted(single) == [-1.0, 3.0]


# ---- restarts ----


class Jump(attacks.DeepFool):
    """Goes to the boundary, or beyond it by half as much, by chance."""

    def run(self, problem):
        near = super().run(problem)
        far = tf.clip_by_value(problem.images + 1.5 * (near - problem.images), 0.0, 1.0)
        return tf.where(balls.per_example(seeds.uniform(problem.keys, []) < 0.5, near), near, far)


def test_restarts_of_a_minimal_norm_attack_keep_the_smallest_and_of_a_bounded_one_any_success():
    sizes = [balls.L2.size(run(attacks.Restarts(Jump(), restarts)) - IMAGES).numpy() for restarts in (1, 2, 6)]
    assert (sizes[1] <= sizes[0]).all() and (sizes[2] <= sizes[1]).all() and sizes[2].mean() < sizes[0].mean()
    once, often = (run(attacks.Restarts(attacks.pgd(balls.Linf(0.04), steps=2), restarts)) for restarts in (1, 5))
    assert (broken(often) >= broken(once)).all() and broken(often).sum() >= broken(once).sum()
    np.testing.assert_array_equal(often[broken(once)], once[broken(once)])


# ---- targeted ----


@pytest.mark.parametrize("goal", ["least_likely", "random", 2])
def test_targeted_attacks_reach_their_goal(goal):
    attack = attacks.Targeted(attacks.pgd(balls.Linf(0.4), steps=20), goal)
    problem = Problem(logits_fn, IMAGES, LABELS, keys=seeds.per_example(0, tf.range(12)))
    goals = attack.goals_of(problem).numpy()
    adversarial = run(attack)
    assert (np.argmax(NETWORK(adversarial), axis=1) == goals).mean() > 0.8
    if goal == "random":
        assert (goals != LABELS).all() and len(set(goals)) > 2
    if goal == "least_likely":
        np.testing.assert_array_equal(goals, np.argmin(NETWORK(IMAGES), axis=1))
    if goal == 2:
        np.testing.assert_array_equal(adversarial[LABELS == 2], IMAGES[LABELS == 2])


def posed(labels=LABELS):
    return Problem(logits_fn, IMAGES, labels, keys=seeds.per_example(0, tf.range(12)))


def test_images_of_the_goal_are_left_alone_and_recognizable():
    goal = int(LABELS[0])
    attack = attacks.Targeted(attacks.pgd(balls.Linf(0.4), steps=5), goal)
    problem = posed(np.where(np.arange(12) < 6, LABELS, goal))  # some that are misclassified should be of the goal
    goals = attack.goals_of(problem)
    own, reached = (problem.labels == goals).numpy(), goal == LABELS
    np.testing.assert_array_equal(problem.toward(goals).attackable(), ~own)
    unchanged = (attack.solve(problem).numpy() == IMAGES).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(unchanged, own | reached)
    assert (own & ~reached).any() and reached.any() and attacks.pgd(BALL).goals_of(problem) is None


@pytest.mark.parametrize("goal", ["least_likely", "random"])
def test_drawn_goals_are_wrong_classes_even_of_misclassified_images(goal):
    least = np.argmin(NETWORK(IMAGES), axis=1).astype("int32")
    assert (attacks.Targeted(attacks.pgd(BALL), goal).goals_of(posed(least)) != least).numpy().all()


def test_a_goal_that_is_no_class_is_refused():
    with pytest.raises(InputError, match="goal 50 is no class of a model with 4"):
        run(attacks.Targeted(attacks.pgd(BALL), 50))
    with pytest.raises(InputError, match="goal 'random' needs the model's scores"):
        attacks.Targeted(attacks.Boundary())(lambda x: tf.argmax(logits_fn(x), axis=1), IMAGES, LABELS, seed=0)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda attack: attacks.Restarts(attack, 3),
        lambda attack: attacks.Restricted(attack, np.ones([6, 5], bool)),
        lambda attack: attacks.Expectation(attack, samples=1),
    ],
)
def test_wrappers_want_what_the_attack_inside_wants(wrap):
    """Any wrong class is not enough, and the goal does not change from run to run."""
    inner = attacks.pgd(balls.Linf(0.4), steps=10)
    attack = wrap(attacks.Targeted(inner, "random"))
    goals = attack.goals_of(posed()).numpy()
    np.testing.assert_array_equal(goals, attacks.Targeted(inner, "random").goals_of(posed()))
    assert (np.argmax(NETWORK(run(attack)), axis=1) == goals).mean() > 0.8
    given = wrap(dataclasses.replace(inner, targeted=True))
    found = given(logits_fn, IMAGES, goals, seed=0)
    assert (np.argmax(NETWORK(found), axis=1) == goals).mean() > 0.8
    assert given.takes_goals and not attack.takes_goals and not wrap(inner).takes_goals


# ---- budget ----


BLACK_BOX = [
    attacks.Square(balls.Linf(0.02), queries=30),
    attacks.SPSA(balls.Linf(0.02), steps=2, samples=16),
    attacks.Boundary(steps=20, tries=20),
    attacks.HopSkipJump(steps=1, samples=20, tries=20),
    attacks.OnePixel(balls.L0(2), population=10, steps=5),
]
every_black_box = pytest.mark.parametrize("attack", BLACK_BOX, ids=lambda attack: attack.name)


class Asked:
    """The network as a Python function, which counts images that it has seen."""

    def __init__(self, answer=lambda logits: logits):
        self.asked, self.answer = 0, answer

    def __call__(self, images):
        self.asked += len(images)
        return self.answer(NETWORK(np.asarray(images)).numpy())


@every_black_box
@pytest.mark.parametrize("queries", [1, 25])
def test_no_example_is_asked_about_once_more_than_its_budget(attack, queries):
    """Each example by itself, and all together: everyone has a budget of its own."""
    each = []
    for index in range(2):
        model, row = Asked(), slice(index, index + 1)
        keys = seeds.per_example(0, np.array([index]))
        attacks.Budget(attack, queries)(model, IMAGES[row], LABELS[row], seed=keys)
        each.append(model.asked)
    assert max(each) <= queries
    together = Asked()
    attacks.Budget(attack, queries)(together, IMAGES[:2], LABELS[:2], seed=0)
    assert together.asked == sum(each)


def test_a_budget_counts_each_draw_of_a_mean_over_draws():
    attack, model = attacks.Budget(attacks.Expectation(attacks.Square(balls.Linf(0.02), queries=30), 4), 25), Asked()
    attack(model, IMAGES[:2], LABELS[:2], seed=0)
    assert 10 < model.asked <= 2 * 25


@every_black_box
def test_a_budget_that_is_not_used_up_changes_nothing(attack):
    expected, found = (run(one, seed=3) for one in (attack, attacks.Budget(attack, 100_000)))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("attack", [attacks.Boundary(steps=80), attacks.HopSkipJump(steps=2, samples=30)])
def test_what_was_reached_within_the_budget_stays(attack):
    """From labels, of the network compiled and of a Python function: still adversarial, and nearer with more queries."""
    images, labels = IMAGES[:6], LABELS[:6]

    def reached(queries):
        limited = attacks.Budget(attack, queries)
        made = limited(Asked(lambda logits: logits.argmax(axis=1)), images, labels, seed=0).numpy()
        assert (NETWORK(made).numpy().argmax(axis=1) != labels).all()
        return made, np.median(balls.L2.size(made - images))

    (near, distance), (_, farther) = reached(80), reached(30)
    compiled = tf.function(attacks.Budget(attack, 80), autograph=False)(NETWORK, images, labels, seed=0)
    np.testing.assert_allclose(near, compiled, atol=1e-4)
    assert distance < farther


def test_the_budget_holds_again_in_the_next_batch():
    limited = tf.function(attacks.Budget(attacks.Square(balls.Linf(0.02), queries=50), 10), autograph=False)
    first, again = (limited(NETWORK, IMAGES, LABELS, seed=0) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - IMAGES).max() > 0.01


def test_the_evaluation_reports_no_more_queries_than_the_budget():
    from tfrobust import evaluate, targets

    target = targets.FunctionTarget(Asked(), name="recorder")
    attack = "budget(square(linf(0.001), queries=200), 25)"
    (row,) = evaluate(target, IMAGES[:6], LABELS[:6], [attack], progress=False).report["attacks"]
    assert row["queries"] == 25


def test_what_is_not_a_budget_is_refused():
    with pytest.raises(InputError, match="a query budget is for black-box attacks"):
        attacks.Budget(attacks.pgd(balls.Linf(0.1)), 100)
    with pytest.raises(InputError, match="whole number"):
        attacks.parse("budget(square(linf(0.1)), queries=0)")
