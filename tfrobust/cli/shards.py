"""The flags that share an evaluation among processes, and the evaluation that is shared."""

import dataclasses
import functools
import os
import pathlib
import sys
from collections.abc import Callable

from absl import flags

import tfrobust as tfr
from tfrobust.cli import attacks, data, engine_flags, quiet
from tfrobust.cli.engine_flags import EngineConfig
from tfrobust.errors import EmptyShardError, InputError

_PLACES = ("JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID")  # of a process among those of an Indexed Job or a job array

SHARDS = flags.DEFINE_integer(
    "shards", None, "Share the examples among so many parts, every n-th in each.", lower_bound=1
)
SHARD = flags.DEFINE_integer(
    "shard",
    None,
    f"Attack this part alone, from 0, and leave it in --output; default: {' or '.join(_PLACES)} of the environment.",
    lower_bound=0,
)
MERGE = flags.DEFINE_boolean("merge", False, "Make the report of all parts that are in --output.")


@dataclasses.dataclass(frozen=True)
class Campaign:
    """How an evaluation is shared.

    Attributes:
      count: the number of shards.
      shard: the one to attack, or None.
      merge: whether to make the report.
      engine: what makes all that are not there yet, and then the report; or None.
    """

    count: int
    shard: int | None = None
    merge: bool = False
    engine: EngineConfig | None = None


def from_flags() -> Campaign | None:
    """What the flags of this module say; None where nothing is shared.

    Raises:
      InputError: for flags that do not go together.
    """
    place = next((os.environ[name] for name in _PLACES if name in os.environ), None)
    shard, engine = SHARD.value, engine_flags.from_flags()
    chosen = [shard is not None, MERGE.value, engine is not None]
    if SHARDS.value is None:
        if any(chosen):
            raise InputError("--shard, --merge and --engine need --shards, the number of parts")
        return None
    if sum(chosen) > 1:
        raise InputError("--shard, --merge and --engine exclude one another")
    if not any(chosen):
        if place is None or not place.isdecimal():
            raise InputError(
                f"--shards={SHARDS.value} needs --shard=K, --merge or --engine: none of {', '.join(_PLACES)} is set"
            )
        shard = int(place)
    if shard is not None and shard >= SHARDS.value:
        raise InputError(f"--shard is 0 to {SHARDS.value - 1}, got {shard}")
    return Campaign(SHARDS.value, shard, MERGE.value, engine)


@dataclasses.dataclass(frozen=True)
class Shared:
    """An evaluation that is shared: what every process of it has to know.

    Attributes:
      campaign: how.
      plan, source: what the flags say of the attacks and the data.
      path, surrogate: of the model, and of the one that gradient attacks are made on, or None.
      folder: where the files of the shards are.
    """

    campaign: Campaign
    plan: attacks.AttackPlan
    source: data.DataSource
    path: str
    surrogate: str | None = None
    folder: pathlib.Path = dataclasses.field(init=False)

    def __post_init__(self):
        if self.plan.output is None:
            raise InputError("--shards needs --output, a folder that all processes share")
        object.__setattr__(self, "folder", self.plan.output / "shards")

    def evaluation(self) -> "tfr.evaluation.Evaluation | None":
        """That of all examples; None after one shard, of which it says where its file is.

        Raises:
          InputError: for what is wrong with the model, the data or the attacks, and for shards that are missing or failed.
        """
        quiet.start_tensorflow()
        if self.campaign.shard is not None:
            print(f"shard: {attacker(self)(self.campaign.shard)}")
            return None
        if self.campaign.engine:
            self._run(self.campaign.engine)
        targets, test = attacks.prepared(self.plan, self.source, [self.path], self.surrogate)
        count, folder, config = self.campaign.count, self.folder, _config(self)
        return tfr.evaluation.merge(
            targets[self.path], test, None, self.plan.attacks, count=count, folder=folder, config=config
        )

    def _run(self, engine: engine_flags.EngineConfig):
        """Has an engine make all shards."""
        self.plan.parsed()
        count = self.campaign.count
        make = functools.partial(attacker, _among(self, engine.workers))
        for index, reason in engine.run(make, range(count), "shard").items():
            tfr.evaluation.mark_failed(self.folder, tfr.evaluation.Shard(index, count), reason)


def attacker(shared: Shared) -> "Callable[[int], pathlib.Path | EmptyShardError]":
    """Loads the model; returns a function that attacks a shard, given its number.

    That returns the path of the shard's file, or says that it has no examples.
    """
    if "tensorflow" not in sys.modules:
        quiet.start_tensorflow()
    target = attacks.load_targets(shared.plan.form, [shared.path], shared.surrogate)[shared.path]
    form = tfr.evaluation.prepare.accepted([target])
    config = _config(shared).changed(progress=shared.campaign.engine is None)
    made = tfr.evaluation.Attacker(target, shared.plan.attacks, shared.folder, config)

    def attack(index):
        shard = tfr.evaluation.Shard(index, shared.campaign.count)
        try:
            test = shared.source.load(shared.plan.dataset, "test", shared.plan.examples, shard=shard, **form)
        except EmptyShardError as error:
            return error
        return made.run(shard, test, None)

    return attack


def _config(shared):
    return shared.plan.config().changed(trained_with=attacks.trained_with(shared.path))


def _among(shared, workers):
    """What each of several workers has to know: they share a rate of queries evenly."""
    endpoint = dict(shared.plan.form.endpoint)
    if endpoint.get("queries_per_second"):
        endpoint["queries_per_second"] /= workers
    form = dataclasses.replace(shared.plan.form, endpoint=endpoint)
    return dataclasses.replace(shared, plan=dataclasses.replace(shared.plan, form=form))


flags.adopt_module_key_flags(engine_flags)
