"""Whether an artifact that looks more robust than its reference is, or only hides its gradients.

Rounding to integers breaks gradients, and false ones leave images standing that any other attack breaks (Athalye et al., ICML
2018). So an artifact's own white-box attacks are set beside what is made on the reference and what needs no gradients.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from tfrobust.attacks import Access

if TYPE_CHECKING:  # `--help` does not wait for them
    import tfrobust as tfr
    from tfrobust import balls

_SIGN = 0.05  # of the examples: that other attacks break so many of what the gradients leave


class Masking(NamedTuple):
    """What was found in one ball.

    Attributes:
      ball: its text.
      reference: the reference's robust accuracy under attacks on its own gradients.
      own: the artifact's under attacks on its own.
      left: how many examples those leave.
      broken_by_others: how many of them the transferred and the black-box attacks break.
      verdict: a sentence.
      masked: whether it says that gradients are masked.
    """

    ball: str
    reference: float
    own: float
    left: int
    broken_by_others: int
    verdict: str
    masked: bool


def judged(
    ball: "balls.Ball",
    reference: "tfr.evaluation.Evaluation",
    transferred: "tfr.evaluation.Evaluation",
    own: Sequence["tfr.evaluation.Evaluation"],
) -> Masking:
    """The verdict in one ball.

    Args:
      ball: of an attack.
      reference: under attacks on its own gradients.
      transferred: the artifact under those attacks.
      own: the artifact under attacks on itself; all of the same examples.
    """
    from tfrobust.evaluation import radii

    of_artifact = [outcome for found in own for outcome in found.outcomes]
    white_box = [outcome for outcome in of_artifact if outcome.attack.needs is Access.WHITE_BOX]
    others = [outcome for outcome in of_artifact if outcome.attack.needs is not Access.WHITE_BOX]
    examples = transferred.outcomes[0].examples
    left = radii.survivors(white_box, examples, ball)
    broken = int((left & ~radii.survivors([*transferred.outcomes, *others], examples, ball)).sum())
    of_reference = float(radii.survivors(reference.outcomes, reference.outcomes[0].examples, ball).mean())
    masked = broken > _SIGN * len(left)
    if masked:
        verdict = (
            f"gradient masking: other attacks break {broken} of the {left.sum()} examples that its gradients leave"
        )
    elif left.mean() > of_reference:
        verdict = f"more robust than the reference, and other attacks break {broken} of the {left.sum()} examples left"
    else:
        verdict = "no more robust than the reference"
    return Masking(str(ball), of_reference, float(left.mean()), int(left.sum()), broken, verdict, masked)
