"""Makes adversarial images: an attack bound to the model that it runs on, compiled once, and counted."""

import concurrent.futures
import functools
import queue
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust import seeds
from tfrobust.attacks import Attack, Problem
from tfrobust.attacks.trace import Trace
from tfrobust.errors import InputError
from tfrobust.evaluation import batches, devices, identity, progress, traces
from tfrobust.evaluation.batches import FinishedBatches
from tfrobust.evaluation.called import CalledModel
from tfrobust.evaluation.config import EvaluationConfig
from tfrobust.evaluation.outcome import Outcome
from tfrobust.evaluation.predictor import Predictor, Votes
from tfrobust.evaluation.prepare import Examples
from tfrobust.evaluation.storage import Images
from tfrobust.evaluation.traces import Curves
from tfrobust.targets import SavedModelTarget, Target, compiled
from tfrobust.targets.target import first_line

_AT_ONCE = 3  # batches of a model elsewhere


class AttackRunner:
    """An attack bound to the model that it runs on, which a target names: itself or its surrogate.

    Args:
      name: the attack's text, as it was asked for.
      attack: the attack.
      target: what it is made for.
      pixels: "float", or "uint8" for an attack on the model as it sees images in 8 bits.

    Attributes:
      name, attack: as given.
      source: the surrogate's name if the attack runs on one, else None.

    Raises:
      InputError: for an attack that needs more than the target allows, or that takes labels for goals.
    """

    def __init__(self, name: str, attack: Attack, target: Target, pixels: str = "float"):
        if attack.takes_goals:
            raise InputError(f"{name} would take the true labels for its goals: write targeted(attack, goal=3) instead")
        self.name, self.attack, self.pixels, self._target = name, attack, pixels, target
        self._victim = target.attacked_by(attack)
        self.source = None if target.represents(self._victim) else self._victim.name
        self._queries, self._backward_passes = _counter(), _counter()
        self._stopped, self._text = False, identity.text(attack)
        self._called = CalledModel(self._victim) if self._victim.local and not self._victim.in_graph else None
        self._run = self._compiled()

    def _compiled(self):
        """The attack: a graph, but on a model elsewhere, whose questions are what takes time and may be many at once."""
        made = functools.partial(_made_of_batch, self.attack, self.pixels, self._text)
        if self._called is not None:
            return self._called.compiled(made)
        own = functools.partial(made, self._logits_fn)
        return devices.shared(own, compiled(own)) if self._victim.in_graph else own

    def for_threads(self) -> "list[AttackRunner]":
        """Runners for batches that are made at the same time: several for a model elsewhere, which else would wait for us."""
        if not self._victim.concurrent:
            return [self]
        return [AttackRunner(self.name, self.attack, self._target, self.pixels) for _ in range(_AT_ONCE)]

    def stop(self) -> None:
        """Ends a run in another thread, of an attack that is not compiled, before its next question."""
        self._stopped = True

    def asked(self) -> int:
        """How many images the model was asked about so far."""
        return int(self._queries.numpy()) if self._called is None else self._called.asked

    def identity(self) -> str | None:
        """What decides the adversarial images beside the batch: None if the model cannot say what it is."""
        return self._known

    @functools.cached_property
    def _known(self):
        model = self._victim.identity()
        return model and f"{model} {self._text} {self.pixels}"

    def run(self, images: np.ndarray, labels: np.ndarray, keys: tf.Tensor, count: int) -> dict[str, np.ndarray]:
        """What was made of the first `count` examples of a batch; the others fill it up.

        The adversarial images, the attack's trace, and totals: queries, backward passes and seconds.
        """
        size = len(images) if self._victim.in_graph else count  # a compiled attack takes batches of one size
        before, real = self._totals(), np.arange(size) < count
        try:
            made = self._run(tf.constant(images[:size]), tf.constant(labels[:size]), keys[:size], tf.constant(real))
        except tf.errors.OpError as error:
            if not isinstance(self._victim, SavedModelTarget):
                raise
            raise InputError(f"{self._victim.name} cannot be attacked by {self.name}: {first_line(error)}") from error
        made = {name: part.numpy()[:count] for name, part in made.items()}
        kept = {name: part for name, part in made.items() if not name.startswith("trace_")}
        opened = np.array([size - count, 0, 0])  # what fills up the batch is asked about, and not attacked
        stages = traces.names_of(self._text)
        return {**kept, **traces.of_batch(made, stages), "totals": self._totals() - before - opened}

    def _logits_fn(self, images):
        if self._stopped:
            raise concurrent.futures.CancelledError
        self._queries.assign_add(tf.shape(images, out_type=tf.int64)[0])
        return self._victim.logits_fn(counting_gradients(images, self._backward_passes))

    def _totals(self):
        return np.array([self.asked(), int(self._backward_passes.numpy()), time.monotonic()])


def _made_of_batch(attack, pixels, text, logits_fn, images, labels, keys, real):
    """The adversarial images of a batch, goals and a trace, as tensors; the text is the attack's `identity.text`."""
    trace = Trace(attack.ball)
    problem = Problem(logits_fn, images, labels, keys=keys, trace=trace)
    if pixels == "uint8":
        problem = problem.rounded(attack.ball)
    rows = tf.cast(tf.where(real)[:, 0], tf.int32)
    problem = problem.opened().at(rows)
    problem = problem.replace(whole=problem)
    goals, adversarial = attack.goals_of(problem), attack.solve(problem)
    made = {"adversarial": adversarial, **({} if goals is None else {"goals": goals})}
    # What fills up the batch gets zeros, which nobody reads.
    made = {name: tf.scatter_nd(rows[:, None], part, [tf.size(real), *part.shape[1:]]) for name, part in made.items()}
    return {**made, **traces.as_tensors(trace, adversarial, traces.names_of(text))}


def counting_gradients(images: tf.Tensor, counter: tf.Variable) -> tf.Tensor:
    """The images; those of which somebody takes a gradient are counted, in an int64 variable."""

    @tf.custom_gradient
    def counted(images):
        def gradient(upstream):
            counter.assign_add(tf.shape(upstream, out_type=tf.int64)[0])
            return upstream

        return tf.identity(images), gradient

    return counted(images)


class Crafted(NamedTuple):
    """What an attack made of all examples.

    Attributes:
      source: the name of the model that it was made on, None for the target itself.
      adversarial: images [examples, ...]; the clean one where it was not attacked.
      votes: the target's predictions at `adversarial`, of attacked examples.
      goals: int [examples], the answers that the attack wanted, -1 where it did not attack; None without goals.
      parts: of each batch, how the attack came to that, by its own account.
      totals: float [4], forward and backward passes through the model, seconds of wall time, compilation included, and how
        many examples were attacked.
    """

    source: str | None
    adversarial: Images
    votes: Votes
    goals: np.ndarray | None
    parts: Sequence[dict[str, np.ndarray]]
    totals: np.ndarray

    @property
    def trace(self) -> Curves | None:
        """How the attack came to that; None if nothing was attacked."""
        return traces.together(self.parts)

    def per_example(self) -> tuple[float | None, float | None]:
        """Forward and backward passes per attacked example, None for none."""
        queries, backward_passes, _, examples = self.totals.tolist()
        return (queries / examples, backward_passes / examples) if examples else (None, None)

    @property
    def seconds(self) -> float:
        """Wall time of the attack, compilation included."""
        return float(self.totals[2])


def craft(runner: AttackRunner, predictor: Predictor, examples: Examples, config: EvaluationConfig) -> Crafted:
    """Attacks the examples batch by batch and shows how many of them still stand."""
    images, labels, _ = examples
    attacked = np.flatnonzero(examples.attacked)
    finished = FinishedBatches(config.finished, runner.identity() if config.finished else None)
    adversarial, votes = Images(images), Votes.none_of(len(images), predictor.draws)
    totals, robust, goals, parts = np.zeros(3), len(attacked), None, []
    threads = runner.for_threads()
    with progress.bar(runner.name, len(attacked), threads, config.progress) as done:
        cut = list(batches.padded(predictor.batch_size, attacked))
        for (padded, count), made in _made(threads, finished, examples, cut, config):
            totals += made["totals"]
            rows = padded[:count]
            trace = {name: part for name, part in made.items() if name.startswith("trace_")}
            parts.append({**trace, "trace_places": config.shard.places(rows)})
            adversarial.write(rows, made["adversarial"])
            votes.drawn[:, rows] = predictor.votes(made["adversarial"], labels[rows]).drawn
            if "goals" in made:
                goals = np.full(len(images), -1) if goals is None else goals
                goals[rows] = made["goals"]
            robust -= int(votes.wrong(labels)[0, rows].sum())
            done(count, robust / len(images))
    return Crafted(runner.source, adversarial, votes, goals, parts, np.array([*totals, len(attacked)]))


def _made(threads, finished, examples, parts, config):
    """What was made of each batch (rows, and how many of them matter), in order."""
    free: queue.SimpleQueue[AttackRunner] = queue.SimpleQueue()
    for one in threads:
        free.put(one)

    def make(part):
        padded, count = part
        keys = seeds.per_example(config.seed, config.shard.places(padded))
        batch = (examples.images[padded], examples.labels[padded].astype("int32"), keys)
        own = free.get()
        try:
            made = finished.get(batch, lambda: own.run(*batch, count))
        finally:
            free.put(own)
        # Of batches that are made at the same time, each is waited for as long as all of them take.
        return {**made, "totals": made["totals"] / [1.0, 1.0, len(threads)]}

    if len(threads) == 1:
        yield from zip(parts, map(make, parts))
        return
    pool = concurrent.futures.ThreadPoolExecutor(len(threads))
    try:
        yield from zip(parts, pool.map(make, parts))
    except BaseException:
        for one in threads:
            one.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def runners(named: Iterable[tuple[str, Attack]], target: Target, pixels: str) -> list[AttackRunner]:
    """Attacks with their texts, bound to a target."""
    return [AttackRunner(name, attack, target, pixels) for name, attack in named]


def shown(made: Outcome, source: str, predictor: Predictor, examples: Examples) -> Crafted:
    """What an attack on another model, the source, has made of all examples, or of more, shown to this one."""
    started, count, rows = time.monotonic(), len(examples.labels), np.flatnonzero(examples.attacked)
    votes = Votes.none_of(count, predictor.draws)
    if len(rows):
        votes.drawn[:, rows] = predictor.votes(made.images, examples.labels[rows], rows).drawn
    goals = None if made.goals is None else made.goals[:count]
    queried = [0.0] * 2 if made.queries is None else [made.queries, made.backward_passes]
    totals = np.array([*queried, time.monotonic() - started, made.queries is not None])
    return Crafted(source, made.images.first(count), votes, goals, [], totals)


def _counter():
    """A number that every device adds to."""
    return tf.Variable(
        0,
        dtype=tf.int64,
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.SUM,
    )
