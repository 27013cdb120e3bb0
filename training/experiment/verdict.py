"""Sentences computed from the numbers, so that no word can say more than they do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.experiment.statistics import FEW


def sentences(found: Mapping[str, Any]) -> list[str]:
    """The verdict on one study (one size, one choice of classes), the most important sentence first.

    Args:
        found: as ``summarising.study`` gives it.
    """
    transfers = [name for name, arm in found["arms"].items() if arm["transfers"]]
    main = _main(found, transfers)
    said = [main if found["sources"] > 1 else f"with this one source model: {main}"]
    unlearned = found["unlearned"]
    if unlearned is not None and unlearned["arms"]:
        names = unlearned["arms"]
        if len(names) == unlearned["of"]:
            said.insert(0, "nothing was learned: no arm is proven better than always answering the most frequent class")
        else:
            said.append(f"not proven better than always answering the most frequent class: {', '.join(names)}")
    ratios = found["error_ratios"]
    said += [_against(name, found["gaps_scratch"][name], ratios.get(name), found["scratch"]) for name in transfers]
    flagged = [name for name in transfers if name in found["below_linear"]]
    if flagged:
        said.append(
            f"below the linear model on the input ({found['arms'][found['linear']]['summary']['mean']:.3f}): "
            + ", ".join(f"{name} in {found['below_linear'][name]}" for name in flagged)
        )
    if found["ordering"] is not None:
        order = found["ordering"]
        who = f": {', '.join(str(source) for source in order['sources'])}" if order["sources"] else ""
        said.append(
            f"the reported order {' > '.join(order['arms'])} is found for {len(order['sources'])} of "
            f"{order['of']} source models{who}"
        )
    spread = found["source_spread"]
    if spread is not None:
        said.append(
            f"between source models the scores of {spread['arm']} vary with a standard deviation of "
            f"{spread['between']:.3f}"
            + (f", between seeds of one source {spread['within']:.3f}" if spread["within"] is not None else "")
        )
    if found["source_correlation"] is not None:
        who = found["source_correlation"]
        said.append(
            f"a source's own score and the score of {who['arm']} on the target correlate with r = {who['r']:.2f} "
            f"over {who['of']} sources"
        )
    if found["sources"] == 1:
        said.append("one source model only: nothing here says how another source would have done")
    elif found["sources"] < FEW:
        said.append(f"{found['sources']} source models are few: {FEW} are the least that prove anything here")
    return said


def _main(found: Mapping[str, Any], transfers: Sequence[str]) -> str:
    if not transfers:
        return "no arm uses the source: nothing is said about transfer"
    if found["gaps_scratch"][transfers[0]]["units"] < FEW:
        return "too few repeats to say whether transfer helps"
    better = [name for name in transfers if found["gaps_scratch"][name]["sign"] > 0]
    worse = [name for name in transfers if found["gaps_scratch"][name]["sign"] < 0]
    linear = found["linear"]
    if not better:
        text = "no reliable transfer benefit" + (f", and harm by {', '.join(worse)}" if worse else "")
    else:
        text = f"transfer helps against training from scratch: {', '.join(better)}"
    if linear is None:
        return text
    gaps = found["gaps_linear"]
    rivals = [name for name in found["arms"] if name in gaps and found["arms"][name]["network"]]
    if rivals and all(gaps[name]["sign"] < 0 for name in rivals):
        return f"{text}; linear model is better"
    beats = [name for name in better if gaps[name]["sign"] > 0]
    if better and not beats:
        return f"{text}; none of them is proven better than the linear model on the input"
    if not better and not any(gaps[name]["sign"] > 0 for name in rivals):
        return f"{text}; no network is proven better than the linear model"
    return text


def _against(name: str, gap: Mapping[str, Any], ratio: Mapping[str, float] | None, other: str) -> str:
    if gap["low"] is None:
        return f"{name} against {other}: {gap['value']:+.3f}, one repeat, nothing proven"
    if gap["units"] < FEW:
        return (
            f"{name} against {other}: {gap['value']:+.3f} ({gap['low']:+.3f} to {gap['high']:+.3f}), of "
            f"{gap['units']}: too few to prove anything"
        )
    what = {1: "better", -1: "worse", 0: "not reliably different"}[gap["sign"]]
    return (
        f"{name} against {other}: {gap['value']:+.3f} ({gap['low']:+.3f} to {gap['high']:+.3f}), {what}; "
        f"ahead for {gap['better_sources']:.0%} of the sources"
        + (f"; {ratio['value']:.2f} times its errors ({ratio['low']:.2f} to {ratio['high']:.2f})" if ratio else "")
    )
