"""Graft beside the servers a user could pick instead, in one run: LitServe, MLServer, BentoML, Ray Serve.

Each peer is in an environment of its own, which this makes once; it runs the same SavedModel in TensorFlow with its
documented batching on, as ``peers/contestants.py`` and its program say. TensorFlow Serving takes part where
``tensorflow_model_server`` is on the PATH. All are asked for one row by 16 clients from another process, as JSON over
REST and in their own binary ways, the answers having been held against TensorFlow's own. Contestants take turns, round
after round. Then each is asked on a schedule, at 0.7 times what the best peer can do: who does not keep up has no p99.
``--quick`` is one round with the tiny model only, and takes two minutes.
"""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from peers.asking import Row, Way
from peers.contestants import PEERS, Contestant, contestants
from peers.expected import expected
from peers.ways import GRPC, JSON, Model, models
from shared.results import Held, Table, at_least, at_most, conclude, parser

SHARE = 0.7
"""The equal load, as a share of the best peer's capacity."""
ROUNDS = 2
SECONDS = {"tiny": 3.0, "mnv": 8.0}
WARM_S = {"tiny": 1.0, "mnv": 0.0}
"""Of the large model no warm-up: servers that take seconds for an image would still be busy with it in the measurement.
Every server has run every size of batch when it says that it is ready."""
BARS = {("tiny", JSON): 5.0, ("tiny", GRPC): 1.5, ("mnv", JSON): 3.0, ("mnv", "binary"): 3.0}
"""How many times the best peer's requests a second are asked for. ``binary`` is whatever is no JSON."""


@dataclass
class Measured:
    """One server asked in one way for one model: a figure a round."""

    model: str
    server: str
    ours: bool
    way: str
    per_second: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    equal_p99_ms: list[float] = field(default_factory=list)

    @property
    def capacity(self) -> float:
        """Requests a second in the best round."""
        return max(self.per_second)

    def saturate(self, way: Way) -> None:
        """One more round."""
        found = way.saturated(SECONDS[self.model], WARM_S[self.model])
        if found.errors:
            print(f"{self.server}, {self.model}, {self.way}: {dict(found.errors)}", file=sys.stderr)
        self.per_second.append(found.requests_per_second)
        self.p50_ms.append(found.p50_ms)
        self.p99_ms.append(found.p99_ms)


Found = dict[tuple[str, str, str], Measured]


def same_kind(way: str, bar: str) -> bool:
    """Whether a way of asking competes for this bar."""
    return way == bar or (bar == "binary" and way != JSON)


def best_peer(found: Found, model: str, kind: str) -> Measured | None:
    """The peer that answered most requests."""
    peers = [one for one in found.values() if one.model == model and same_kind(one.way, kind) and not one.ours]
    return max(peers, key=lambda one: one.capacity, default=None)


def one_round(found: Found, server: Contestant, model: Model, answer: Row, equal: bool) -> None:
    """Start a server, see that it answers rightly, and ask it in all its ways."""
    with tempfile.TemporaryDirectory() as scratch, server.start(model, Path(scratch) / "server") as ways:
        for name, way in ways.items():
            asked = way.checked(answer)
            key = (model.name, server.name, name)
            one = found.setdefault(key, Measured(model.name, server.name, server.ours, name))
            one.saturate(asked)
            best = best_peer(found, model.name, JSON if name == JSON else "binary")
            if equal and best is not None:
                one.equal_p99_ms.append(asked.p99_ms_at(SHARE * best.capacity, SECONDS[model.name]))


def measure(servers: Sequence[Contestant], served: Sequence[Model], rounds: int) -> Found:
    """All rounds. The first finds capacities, which set the equal load of the others."""
    found: Found = {}
    answers = {model.name: expected(model.place, model.row) for model in served}
    broken: dict[str, str] = defaultdict(str)
    for number in range(rounds):
        order = servers if number % 2 == 0 else servers[::-1]
        for model in served:
            for server in order:
                if broken[server.name]:
                    continue
                try:
                    one_round(found, server, model, answers[model.name], equal=number > 0)
                except RuntimeError as error:
                    broken[server.name] = str(error)
                    print(f"{server.name} is out: {error}", file=sys.stderr)
        print(f"round {number + 1} of {rounds} done", file=sys.stderr, flush=True)
    return found


def judged(found: Found) -> list[Held]:
    """Graft, with the engine it chose, against the best peer, round by round."""
    held: list[Held] = []
    for (model, kind), bar in BARS.items():
        best = best_peer(found, model, kind)
        ours = found.get((model, "graft", JSON if kind == JSON else GRPC))
        if best is None or ours is None:
            continue
        pairs = zip(ours.per_second, best.per_second, strict=False)
        name = f"{model} {kind}: graft / {best.server} ({best.way})"
        held.append(at_least(f"{name}, requests/s", [mine / theirs for mine, theirs in pairs], bar))
        late = [one for one in zip(ours.equal_p99_ms, best.equal_p99_ms, strict=False) if one[1] < float("inf")]
        if late:
            held.append(at_most(f"{name}, p99 at equal load", [mine / theirs for mine, theirs in late], 1.0))
    return held


def table(found: Found) -> Table:
    """A row a server, model and way."""
    rows = Table(("model", "server", "way", "requests/s", "p50 ms", "p99 ms", "p99 ms at equal load", "to best peer"))
    for one in sorted(found.values(), key=lambda one: (one.model, one.way != JSON, -one.capacity)):
        best = best_peer(found, one.model, JSON if one.way == JSON else "binary")
        ratio = one.capacity / best.capacity if best else None
        keeps_up = [p99 for p99 in one.equal_p99_ms if p99 < float("inf")]
        rows.add(one.model, one.server, one.way, one.per_second, one.p50_ms, one.p99_ms, keeps_up, ratio)
    return rows


def main() -> int:
    """Measure, print; 0 when every bar is met."""
    options = parser(__doc__)
    names = [peer.name for peer in PEERS]
    options.add_argument("--only", default=",".join(names), help=f"peers to run beside Graft, of {','.join(names)}")
    options.add_argument(
        "--rounds", type=int, help=f"how often each is measured ({ROUNDS}; once with --quick, and tiny only)"
    )
    given = options.parse_args()
    only = [name for name in given.only.split(",") if name]
    if unknown := set(only) - set(names):
        options.error(f"no peer is called {sorted(unknown)[0]}; there are {', '.join(names)}")
    rounds = given.rounds or (1 if given.quick else ROUNDS)
    found = measure(contestants(only), models()[:1] if given.quick else models(), rounds)
    return conclude("peers", table(found), judged(found), given)


if __name__ == "__main__":
    sys.exit(main())
