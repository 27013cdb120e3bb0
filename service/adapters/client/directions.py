"""``graft promote``, ``canary``, ``rollback``, ``shadow``, ``label``, ``direction``: which version answers whom."""

from __future__ import annotations

import getpass
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import httpx
from rich.table import Table

from service.adapters.client.asking import answer, command, console, number, segment

_LAST_CHANGES = 5
Order = Callable[[Namespace], tuple[str, str, dict[str, Any]]]


def add_commands(commands: Any) -> None:
    """What can be said of a model's versions, and what was said."""
    promote = command(commands, "promote", "let a version answer from now on", _saying(_promote))
    canary = command(commands, "canary", "give a version a share of the requests, and watch it", _saying(_canary))
    back = command(commands, "rollback", "take the canary back, or go back to the version before", _saying(_roll_back))
    shadow = command(commands, "shadow", "compare versions with the one that answers; none ends it", _saying(_shadow))
    label = command(commands, "label", "point a label at a version, or at several", _saying(_label))
    show = command(commands, "direction", "show which version answers whom, and what was seen of it", _show)
    for parser in (promote, canary, back, shadow, label, show):
        parser.add_argument("model")
    label.add_argument("label")
    for parser in (promote, canary):
        parser.add_argument("version", type=int)
    shadow.add_argument("versions", type=int, nargs="*", metavar="VERSION")
    several = "a version, or several, each with its weight: 3:9 4:1; none forgets the label"
    label.add_argument("shares", nargs="*", type=_share, metavar="VERSION", help=several)
    canary.add_argument("--percent", type=number, default=5.0, help="its share of the requests (default 5)")
    after = "promote it by itself after so many requests within its limits"
    canary.add_argument("--promote-after", type=int, metavar="N", help=after)
    for name, help in (
        ("more-errors", "by so much its share of failed requests may be higher"),
        ("slower", "so many times the other version's p95 its own may be"),
        ("disagreement", "on such a share of rows it may decide differently"),
    ):
        canary.add_argument(f"--{name}", type=number, metavar="LIMIT", help=f"taken back beyond it: {help}")
    for parser in (promote, canary, back, shadow, label):
        parser.add_argument("--why", default="", help="for the history")
        parser.add_argument("--by", default=_user(), help="for the history (default: your name here)")
        parser.add_argument("--revision", type=int, help="refuse if the direction has changed since this revision")


def _promote(arguments: Namespace) -> tuple[str, str, dict[str, Any]]:
    return "POST", ":promote", {"version": arguments.version}


def _canary(arguments: Namespace) -> tuple[str, str, dict[str, Any]]:
    names = ("more_errors", "slower", "disagreement")
    limits = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    order = {"version": arguments.version, "percent": arguments.percent, "limits": limits}
    return "POST", ":canary", {**order, "promote_after": arguments.promote_after}


def _roll_back(arguments: Namespace) -> tuple[str, str, dict[str, Any]]:
    return "POST", ":rollback", {}


def _shadow(arguments: Namespace) -> tuple[str, str, dict[str, Any]]:
    return "PUT", "/shadows", {"versions": arguments.versions}


def _label(arguments: Namespace) -> tuple[str, str, dict[str, Any]]:
    place = f"/labels/{segment(arguments.label)}"
    return ("PUT", place, {"split": arguments.shares}) if arguments.shares else ("DELETE", place, {})


def _share(text: str) -> dict[str, float]:
    """From ``3`` or ``3:9``. Raises: ValueError."""
    version, _, weight = text.partition(":")
    return {"version": int(version), "weight": number(weight or "1")}


def _saying(order: Order) -> Callable[[httpx.Client, Namespace], int]:
    """A command that gives an order and shows what is so from then on."""

    def run(client: httpx.Client, arguments: Namespace) -> int:
        method, place, body = order(arguments)
        body |= {"by": arguments.by, "why": arguments.why, "revision": arguments.revision}
        place = f"/v1/models/{segment(arguments.model)}{place}"
        told = answer(client.request(method, place, json=body))
        for line in _lines(told):
            print(line)
        return 0

    return run


def _show(client: httpx.Client, arguments: Namespace) -> int:
    told = answer(client.get(f"/v1/models/{segment(arguments.model)}/direction"))
    for line in _lines(told):
        print(line)
    if told["seen"]:
        console().print(_seen(told["seen"]))
    for change in told["changes"][-_LAST_CHANGES:]:
        why = f": {change['why']}" if change["why"] else ""
        print(f"{change['at']}  {change['by']} {change['what']}{why}")
    return 0


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    stable, canary = told["stable"], told["canary"]
    answers = "the newest version answers" if stable is None else f"version {stable} answers"
    yield f"{told['model']}: {answers} (revision {told['revision']})"
    if canary is not None:
        after = canary["promote_after"]
        then = f", and is promoted after {after} good ones" if after else ""
        yield f"  canary: version {canary['version']} has {canary['percent']:g} % of the requests{then}"
    if told["shadows"]:
        yield f"  compared: {_numbers(told['shadows'])}"
    for label, split in sorted(told["labels"].items()):
        yield f"  label {label}: " + ", ".join(_told_share(share, split) for share in split)
    if told["before"]:
        yield f"  before: {_numbers(told['before'])}"


def _told_share(share: Mapping[str, Any], split: Sequence[Mapping[str, Any]]) -> str:
    return f"version {share['version']}" + (f" (weight {share['weight']:g})" if len(split) > 1 else "")


def _numbers(versions: Sequence[int]) -> str:
    return ", ".join(map(str, versions))


def _seen(seen: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("version", "requests", "failed", "p95 ms", "compared rows", "differed", "problem")
    for one in seen:
        counts = (str(one[name]) for name in ("version", "requests", "failed"))
        p95 = "" if one["p95_ms"] is None else f"{one['p95_ms']:g}"
        table.add_row(*counts, p95, str(one["compared"]), str(one["differed"]), one["problem"] or "")
    return table


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "the command line"
