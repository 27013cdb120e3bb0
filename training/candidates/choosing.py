"""Which of what was fitted is the candidate, and what stands beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.candidates.baselines import RANDOM_FEATURES, SCRATCH, RandomFeaturesArm, ScratchArm
from training.candidates.candidate import Arm, Candidate
from training.candidates.finetuning import TunedCandidate
from training.candidates.linear import LinearArm, LinearCandidate
from training.candidates.network import NetworkCandidate
from training.candidates.probing import BASELINE
from training.features import RAW

if TYPE_CHECKING:
    from training.head_state import HeadState

PROBE = "probe"


def chosen(run: HeadState) -> Candidate:
    """The fine-tuned model where it was kept, else what the probe phase fitted."""
    if run.found["finetune"]["kept"]:
        return TunedCandidate(run)
    return probed(run)


def probed(run: HeadState) -> Candidate:
    """What the probe phase fitted: a network where the recipe asks for one, else a linear head."""
    return NetworkCandidate(run) if run.found["probe"]["network"] else LinearCandidate(run)


def beside(run: HeadState) -> dict[str, Arm]:
    """The arms beside the candidate by name."""
    arms: dict[str, Arm] = {}
    if run.found["finetune"]["kept"]:
        arms[PROBE] = probed(run)
    elif run.found["probe"]["network"]:
        arms[PROBE] = LinearCandidate(run)
    if BASELINE in run.recipe.baselines:
        arms[BASELINE] = LinearArm(run, BASELINE, RAW)
    fitted = run.found["finetune"]["baselines"]
    if fitted.get(RANDOM_FEATURES, {}).get("fitted"):
        arms[RANDOM_FEATURES] = RandomFeaturesArm(run)
    if fitted.get(SCRATCH, {}).get("fitted"):
        arms[SCRATCH] = ScratchArm(run)
    return arms
