"""A target together with a model that stands in for it in attacks that it does not allow."""

from tfrobust.targets.load import as_target
from tfrobust.targets.target import Target


class WithSurrogate(Target):
    """A target whose owner has another model of the same task, such as the one that it was exported from.

    Attacks that need more than the target allows are made on the surrogate and transferred: the target still judges
    what they find. The preprocessing of the surrogate stands for the target's where that does not say its own.

    Args:
      target: what is attacked, a `Target` or anything that `as_target` takes.
      surrogate: what the other attacks are made on, likewise.

    Example:
      >>> exported = WithSurrogate("lenet.tflite", "model.keras")
      >>> evaluate(exported, images, labels, ["pgd(linf(0.1))"]).report["attacks"][0]["source"]
      'model.keras'
    """

    def __init__(self, target, surrogate):
        self.target, self.surrogate = as_target(target), as_target(surrogate)
        super().__init__(self.target.name, self.target.input_shape, self.target.bounds)
        self.local, self.takes_files = self.target.local, self.target.takes_files
        self.origin = self.surrogate.origin if self.target.origin is None else self.target.origin

    @property
    def access(self):
        """What the target allows."""
        return self.target.access

    @property
    def kind(self):
        """What the target answers with."""
        return self.target.kind

    def logits(self, images):
        return self.target.logits(images)

    def predictor(self):
        return self.target.predictor()

    def probe(self, images):
        return self.target.probe(images)

    def about(self):
        return self.target.about()

    def mapped(self, change):
        return WithSurrogate(change(self.target), change(self.surrogate))

    def check(self, images):
        self.target.check(images)
        self.surrogate.check(images)

    def attacked_by(self, attack):
        """The target that an attack runs on: the surrogate, if the attack needs more than the target allows."""
        return self.target if self.allows(attack) else self.surrogate.attacked_by(attack)

    def represents(self, victim):
        return self.target.represents(victim)
