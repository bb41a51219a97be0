"""Actors of a Ray cluster, or of Ray on this machine."""

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

from tfrobust.engines.engine import Engine, Reply, Work, Worker, confine, reply_of
from tfrobust.errors import InputError


class RayEngine(Engine["_Handle"]):
    """Actors, each with resources of its own. The cluster is the one of RAY_ADDRESS, else one of this machine alone.

    Args:
      make: makes the work, in the actor. It is pickled: a function of a module that is installed on all machines, or a partial.
      cores: of each actor.
      gpus: of each actor; a part of one, too.
      workers: how many actors there will be, for a cluster of this machine.

    Raises:
      InputError: where Ray is not installed.
    """

    def __init__(self, make: Callable[[], Work], cores: int = 1, gpus: float = 0.0, workers: int = 1):
        try:
            import ray
        except ImportError as error:
            raise InputError("--engine=ray needs Ray: pip install 'tfrobust[ray]'") from error
        self._ray, self._make, self._cores = ray, make, cores
        if not ray.is_initialized():
            local: dict[str, Any] = (
                {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": cores * workers, "include_dashboard": False}
            )
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **local)
        # Deaths are counted by us: Ray would restart an actor whatever task it died of.
        self._actor = ray.remote(num_cpus=cores, num_gpus=gpus, max_restarts=0)(_Actor)

    def start(self, rank):
        return _Handle(self._ray, self._actor.remote(self._make, rank, self._cores))

    def replies(self, workers: Sequence["_Handle"]):
        by_reference = {worker.reference: worker for worker in workers}
        ready, _ = self._ray.wait(list(by_reference), num_returns=1)
        return [(by_reference[reference], by_reference[reference].reply()) for reference in ready]


class _Actor:
    """Lives in a worker process of Ray."""

    def __init__(self, make, rank, cores):
        confine(rank, cores)
        self._make = make

    def start(self):
        """Makes the work."""

        def made():
            self._made = self._make()

        return reply_of(made)

    def run(self, task):
        """Does a task."""
        return reply_of(lambda: self._made(task))


class _Handle(Worker):
    def __init__(self, ray, actor):
        self._ray, self._actor, self.reference = ray, actor, actor.start.remote()

    def submit(self, task):
        self.reference = self._actor.run.remote(task)

    def dismiss(self):
        self.kill()

    def kill(self):
        self._ray.kill(self._actor)

    def reply(self):
        """The next one."""
        try:
            return self._ray.get(self.reference)
        except self._ray.exceptions.RayError as error:
            return Reply("died", " ".join(str(error).split())[:200])
