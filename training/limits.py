"""The hard limits of a job: what it may take of time, memory and processors before it is ended with a reason.

They are looked at whenever the job has something to say, which is several times a second while it works.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable

from training.errors import LimitReached
from training.recipe import LimitsChoice

KIB_A_MIB = 1024


def peak_memory_mb() -> float:
    """The most memory this process has had so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_A_MIB


class Limits:
    """What one job may take, over all its attempts."""

    def __init__(
        self,
        choice: LimitsChoice,
        clock: Callable[[], float] = time.monotonic,
        memory_mb: Callable[[], float] = peak_memory_mb,
    ) -> None:
        self._choice, self._clock, self._memory_mb = choice, clock, memory_mb
        self._began = clock()
        self._before = 0.0

    def count(self, seconds: float) -> None:
        """An earlier attempt has taken these seconds for a phase."""
        self._before += seconds

    def check(self) -> None:
        """Raises: LimitReached: it has taken more time or memory than it may."""
        seconds = self._before + self._clock() - self._began
        if seconds > self._choice.seconds:
            raise LimitReached(
                f"the job has run for {seconds:.0f} s, and limits.seconds is {self._choice.seconds}: raise it, or ask "
                "for less (finetune.enabled never, fewer baselines, fewer items)"
            )
        used = self._memory_mb()
        if used > self._choice.memory_mb:
            raise LimitReached(
                f"the job has used {used:.0f} MiB of memory, and limits.memory_mb is {self._choice.memory_mb}: raise "
                "it, or take a base with narrower cuts, a smaller finetune.batch, or fewer items"
            )

    def check_examples(self, count: int) -> None:
        """Raises: LimitReached: there are more items than there may be."""
        if count > self._choice.examples:
            raise LimitReached(f"the data has {count} items, and limits.examples is {self._choice.examples}")

    def apply(self) -> None:
        """Tell TensorFlow how many threads and how much of a GPU it may take; before it is imported, or for nothing."""
        os.environ["TF_NUM_INTRAOP_THREADS"] = str(self._choice.threads)
        # A GPU may be shared with whoever serves: nothing is taken before it is needed.
        os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
        if self._choice.gpu_memory_mb is not None:
            _bound_gpus(self._choice.gpu_memory_mb)


def _bound_gpus(memory_mb: int) -> None:
    import tensorflow as tf

    for device in tf.config.list_physical_devices("GPU"):
        bounded = tf.config.LogicalDeviceConfiguration(memory_limit=memory_mb)
        tf.config.set_logical_device_configuration(device, [bounded])
