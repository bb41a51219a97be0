"""What the checks look at, gathered once: the results, what the model answers, and what is found by asking it more.

What asks the model more (`EvaluationConfig.active_checks`) costs together less than PGD with 40 steps: about 60 forward
and 15 backward passes per evaluated image, most of them on samples that are drawn from all images.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from tfrobust import balls
from tfrobust.attacks import PGD, Access, Attack
from tfrobust.evaluation.config import EvaluationConfig
from tfrobust.evaluation.outcome import Outcome
from tfrobust.evaluation.predictor import Predictor
from tfrobust.evaluation.probes import answers, breakable, gradients, operations, searches
from tfrobust.evaluation.probes.answers import Answers
from tfrobust.evaluation.probes.gradients import Directions, Gradients
from tfrobust.evaluation.probes.model import AskedModel
from tfrobust.evaluation.probes.operations import Operations
from tfrobust.evaluation.probes.searches import Search
from tfrobust.targets import Target, serving

# Images at most in each sample; and as a share of all images, so that an evaluation of few costs little, too.
SAMPLE, _SAMPLE_SHARE = 100, 1 / 4  # whose gradients are tested
SEARCHED, _SEARCHED_SHARE = 50, 1 / 8  # that are searched from scores, or attacked in a far larger ball
_USUAL_RADIUS = 0.1  # where no attack says one
_SMALL = 32 * 32 * 3  # values of an image; the smallest step in one of more is no longer than in such a one
_BREAKABLE, _BREAKABLE_SHARE = 24, 1 / 16  # on which the attack must succeed
LONGER, _LONGER_GRADIENTS = 200, 8.0  # that are attacked for longer, and for this the gradients per evaluated image


@dataclasses.dataclass(frozen=True)
class Evidence:
    """All that says whether an evaluation is to be trusted. Without one of its parts, the checks of it say nothing.

    Attributes:
      logits: of the clean images, float32 [examples, classes], or labels [examples] of a target that gives no more.
      labels: int [examples].
      attacks: the attacks.
      rows: their entries of the report.
      invalid: how many images of each attack fool the model but lie outside of what is allowed.
      outcomes: what the attacks did.
      draws: how often the model was asked for each prediction: more than once, if its answers differ.
      white_box: whether gradients were used, or nothing was attacked.
      answers: whether they depend on the image alone.
      gradients: by where they were taken: "clean" and "adversarial" images.
      directions: of samples of these, what gradients predict; "beside the clean images" instead of on them.
      standing: bool [examples], what no white-box attack has broken in the ball of the strongest.
      far, longer, black_box: attacks on samples: with a far larger radius, with twice the steps, and from scores alone;
        the latter two on what stands.
      breakable: the attack on a sample of what it left, the model made breakable.
      operations: what the model's graph holds.
      trained_with: the attack that the model was trained with, where that is said.
      probe: what a model outside the process answered to a few images before.
    """

    logits: np.ndarray
    labels: np.ndarray
    attacks: Sequence[Attack] = ()
    rows: Sequence[dict] = ()
    invalid: Sequence[int] = ()
    outcomes: Sequence[Outcome] = ()
    draws: int = 1
    white_box: bool = True
    answers: Answers | None = None
    gradients: Mapping[str, Gradients] = dataclasses.field(default_factory=dict)
    directions: Mapping[str, Directions] = dataclasses.field(default_factory=dict)
    standing: np.ndarray | None = None
    far: Search | None = None
    longer: Search | None = None
    black_box: Search | None = None
    breakable: Search | None = None
    operations: Operations | None = None
    trained_with: Attack | None = None
    probe: serving.Probe | None = None


def gather(
    target: Target,
    predictor: Predictor,
    logits: np.ndarray,
    examples,
    outcomes: Sequence[Outcome],
    rows: Sequence[dict],
    config: EvaluationConfig = EvaluationConfig(),  # noqa: B008, it is frozen
) -> Evidence:
    """The evidence of one evaluation. Only models in this process that have gradients are asked more, unless the configuration says so."""
    attacks = [outcome.attack for outcome in outcomes]
    found = Evidence(
        logits=logits.astype("float32") if logits.ndim == 2 else logits,
        labels=examples.labels,
        attacks=attacks,
        rows=rows,
        invalid=[outcome.invalid for outcome in outcomes],
        outcomes=outcomes,
        draws=predictor.draws,
        white_box=not attacks or any(attack.needs is Access.WHITE_BOX for attack in attacks),
        trained_with=None if isinstance(config.trained_with, str) else config.trained_with,  # a text is parsed by now
        probe=target.probe(examples.images),
    )
    differentiated = _differentiated(target, outcomes)
    asked = differentiated.in_graph if config.active_checks is None else config.active_checks
    if not asked or target.access < Access.SCORE_BASED:
        return found
    model = AskedModel(target, examples.images.shape[1:], predictor.batch_size)
    own = model
    if differentiated is not target:
        own = AskedModel(differentiated, examples.images.shape[1:], predictor.batch_size)
    return dataclasses.replace(found, **_Asked(model, own, examples, outcomes, config).evidence(found.white_box))


def _differentiated(target, outcomes):
    """What white-box attacks on the target itself were made on: the target, or a file's own graph."""
    made = (one.attack for one in outcomes if one.attack.needs is Access.WHITE_BOX and one.source is None)
    attack = next(made, None)
    return target if attack is None else target.attacked_by(attack)


class _Asked:
    """What is found by asking a model about the examples of an evaluation.

    Args:
      model: the target.
      differentiated: the target or, of a file, its own graph, whose gradients are looked at.
      examples, outcomes, config: of the evaluation.
    """

    def __init__(
        self,
        model: AskedModel,
        differentiated: AskedModel,
        examples,
        outcomes: Sequence[Outcome],
        config: EvaluationConfig,
    ):
        self.model, self.differentiated, self.config = model, differentiated, config
        self.images, self.labels, self.attacked = examples
        self.generator = np.random.default_rng(config.seed)
        self.random = any(outcome.votes.random for outcome in outcomes)
        self.direct = [o for o in outcomes if o.attack.needs is Access.WHITE_BOX]
        bounded = [o for o in self.direct if isinstance(o.ball, (balls.Linf, balls.L2))]
        self.strongest = max(bounded, key=lambda outcome: outcome.broken.mean(), default=None)
        self.operations = operations.of_graph(differentiated.graph) if differentiated.in_graph else None
        self.precision = self.operations.precision if self.operations else operations.FLOAT32

    def evidence(self, white_box: bool) -> dict:
        """Fields of `Evidence`."""
        found = {"operations": self.operations, "answers": answers.of(self.model, self.images, self.precision)}
        if white_box and self.differentiated.differentiable:
            found |= self._of_gradients()
        return found | self._of_searches()

    def _of_gradients(self):
        adversarial = self.strongest or max(self.direct, key=lambda outcome: outcome.broken.mean(), default=None)
        points = {"clean": gradients.everywhere(self.differentiated, self.images, self.labels)}
        rows = self._sample(self.attacked, SAMPLE, _SAMPLE_SHARE)
        samples = {"beside the clean images": (gradients.beside(self.images[rows], self.generator), rows)}
        if adversarial:
            points["adversarial"] = gradients.everywhere(self.differentiated, adversarial.images, self.labels)
            rows = self._sample(self.attacked & ~adversarial.broken, SAMPLE, _SAMPLE_SHARE)
            samples["at the adversarial images"] = (np.nan_to_num(adversarial.images[rows]), rows)
        standing = None if adversarial is None else self.attacked & ~adversarial.broken
        return {
            "gradients": points,
            "standing": standing,
            "directions": {
                name: gradients.directions(
                    self.differentiated, (x, self.labels[rows], rows), self._steps(), self.precision, self.generator
                )
                for name, (x, rows) in samples.items()
                if len(rows)
            },
        }

    def _of_searches(self):
        """Attacks on samples, where enough stands for them to say something."""
        strongest = self.strongest
        if strongest is None or strongest.ball is None:
            return {}
        attack, ball = strongest.attack, strongest.ball
        standing, square = self._standing(ball), searches.black_box(ball)
        found = {
            "standing": standing,
            "black_box": self._search(self.model, square, standing, SEARCHED, _SEARCHED_SHARE, 2),
        }
        if not self.differentiated.differentiable:
            return found
        cost = max(strongest.backward_passes or 1.0, 1.0)
        far = searches.far(attack, self.images.shape[1:])
        if far is not None and far.ball is not None and cost > 2 * searches.FAR_STEPS:
            far = PGD(far.ball, steps=searches.FAR_STEPS)
        if standing.mean() > np.bincount(self.labels).max() / len(self.labels):  # else the ball is large enough
            found["far"] = self._search(self.differentiated, far, self.attacked, SEARCHED, _SEARCHED_SHARE, 5)
        found["breakable"] = self._of_breakable(strongest, ball, cost)
        share = _LONGER_GRADIENTS / (2.0 * cost)
        longer = searches.longer(attack)
        return found | {"longer": self._search(self.differentiated, longer, standing, LONGER, share, 3)}

    def _of_breakable(self, strongest: Outcome, ball: balls.Ball, cost):
        """Of a fixed model; a long attack, one of one step and one with a goal are tried by PGD in their place."""
        rows = self._sample(self.attacked & ~strongest.broken, _BREAKABLE, _BREAKABLE_SHARE)
        if len(rows) < 3 or self.random:
            return None
        attack = strongest.attack
        if cost > 2 * searches.FAR_STEPS or searches.steps(attack) == 1 or strongest.goals is not None:
            attack = PGD(ball, steps=searches.FAR_STEPS)
        sample = (self.images, self.labels, rows)
        return breakable.search(self.differentiated, attack, sample, seed=self.config.seed, generator=self.generator)

    def _search(self, model, attack, among, most, share, least):
        rows = self._sample(among, most, share)
        if attack is None or len(rows) < least:
            return None
        sample = (self.images, self.labels, rows)
        return searches.search(model, attack, sample, seed=self.config.seed, pixels=self.config.pixels)

    def _standing(self, ball: balls.Ball):
        """bool [examples]: those that no image of any white-box attack inside the ball fools."""
        standing = self.attacked.copy()
        for outcome in self.direct:
            rows = np.flatnonzero(standing & outcome.broken)
            standing[rows] = ~outcome.lies_in(ball, rows)
        return standing

    def _steps(self):
        """The largest changes of a pixel: small ones, and an eighth of the ball of the strongest attack."""
        ball = (self.strongest and self.strongest.ball) or balls.Linf(_USUAL_RADIUS)
        shape = self.images.shape[1:]
        scale = float(ball.size(np.ones([1, *shape], "float32"))[0])
        own = max(ball.radius / 8 / scale, gradients.STEPS[-1])
        smallest, *others = gradients.STEPS
        return sorted({smallest * min(1.0, (_SMALL / math.prod(shape)) ** 0.5), *others, min(own, 0.05)})

    def _sample(self, among, most, share):
        """int [rows]: some of the images among these, drawn from all of them."""
        rows = np.flatnonzero(among)
        count = min(most, len(rows), max(round(share * len(among)), 1))
        return np.sort(self.generator.choice(rows, count, replace=False))
