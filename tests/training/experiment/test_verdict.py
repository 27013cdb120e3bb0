"""What an experiment says follows from its numbers, and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training.experiment.reading import parse_experiment
from training.experiment.schema import Experiment
from training.experiment.summarising import study

ITEMS = 200


def experiment() -> Experiment:
    network = {"kind": "builder", "name": "mlp", "params": {"hidden": [5], "standardise": False}}
    arms = [
        {"kind": "network", "name": "scratch", "weights": "scratch"},
        {"kind": "network", "name": "transfer", "weights": "source"},
        {"kind": "classical", "name": "linear", "model": "logistic"},
        {"kind": "classical", "name": "majority", "model": "majority"},
    ]
    return parse_experiment(
        {
            "apiVersion": "experiment/v1",
            "name": "made-up",
            "question": "What is said?",
            "source": {"network": network},
            "target": {"data": {"uri": "builtin:blobs:2"}, "divide": {"order": "given", "train": 500}},
            "stages": [{"epochs": 1}],
            "arms": arms,
            "compare": {"scratch": "scratch", "linear": "linear", "ordering": ["transfer", "scratch"]},
        }
    )


def runs(means: Mapping[str, float], sources: int = 20, spread: float = 0.02) -> list[dict[str, Any]]:
    draw = np.random.default_rng(0)
    found = []
    for source in range(sources):
        arms = {}
        for name, mean in means.items():
            right = round(ITEMS * (mean + spread * draw.normal()))
            arms[name] = {"score": right / ITEMS, "right": "1" * right + "0" * (ITEMS - right), "seconds": 1.0}
        figures = {"source": source, "seed": 0, "size": None, "classes": ["a", "b"], "source_score": None}
        found.append({**figures, "arms": arms})
    return found


def said(means: Mapping[str, float], **more: Any) -> Sequence[str]:
    verdict: Sequence[str] = study(experiment(), runs(means, **more))["verdict"]
    return verdict


def test_no_benefit_and_a_better_linear_model() -> None:
    verdict = said({"scratch": 0.79, "transfer": 0.79, "linear": 0.85, "majority": 0.33})
    assert verdict[0] == "no reliable transfer benefit; linear model is better"


def test_harm_is_called_harm() -> None:
    verdict = said({"scratch": 0.79, "transfer": 0.70, "linear": 0.79, "majority": 0.33})
    assert verdict[0].startswith("no reliable transfer benefit, and harm by transfer")


def test_a_benefit_that_a_linear_model_has_too_is_said_to_be_one() -> None:
    verdict = said({"scratch": 0.70, "transfer": 0.80, "linear": 0.80, "majority": 0.33})
    assert verdict[0] == (
        "transfer helps against training from scratch: transfer; none of them is proven better than the linear model "
        "on the input"
    )


def test_a_real_benefit() -> None:
    verdict = said({"scratch": 0.70, "transfer": 0.80, "linear": 0.60, "majority": 0.33})
    assert verdict[0] == "transfer helps against training from scratch: transfer"
    assert any("found for 20 of 20 source models" in line for line in verdict)


def test_nothing_learned_comes_first() -> None:
    verdict = said({"scratch": 0.30, "transfer": 0.30, "linear": 0.30, "majority": 0.33})
    assert verdict[0] == "nothing was learned: no arm is proven better than always answering the most frequent class"


def test_few_sources_prove_nothing() -> None:
    verdict = said({"scratch": 0.50, "transfer": 0.90, "linear": 0.50, "majority": 0.33}, sources=3)
    assert verdict[0] == "too few repeats to say whether transfer helps"
    assert any("of 3: too few to prove anything" in line for line in verdict)


def test_the_sources_that_give_a_reported_order_are_listed() -> None:
    found = study(experiment(), runs({"scratch": 0.79, "transfer": 0.79, "linear": 0.85, "majority": 0.33}))
    listed = found["ordering"]["sources"]
    assert 0 < len(listed) < 20
    line = next(line for line in found["verdict"] if line.startswith("the reported order"))
    assert line.endswith(", ".join(str(source) for source in listed))


def test_one_source_speaks_for_itself_alone() -> None:
    means = {"scratch": 0.70, "transfer": 0.80, "linear": 0.60, "majority": 0.33}
    repeats = [{**one, "source": 0, "seed": place} for place, one in enumerate(runs(means))]
    verdict = study(experiment(), repeats)["verdict"]
    assert verdict[0] == "with this one source model: transfer helps against training from scratch: transfer"
    assert verdict[-1] == "one source model only: nothing here says how another source would have done"
