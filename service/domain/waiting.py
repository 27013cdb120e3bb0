"""How long a queue may become: as long as those in it are patient.

A bounded queue alone does not keep a server useful when far more is asked of it than it can do. First come, first
served then means that whoever is served has waited as long as anyone bears to: the answers come too late, or just in
time, and the goodput collapses while every lane is busy. Turning the queue round, newest first, would cure that and
starve closed groups of patient clients, whose long queue is nobody's fault. So the queue stays in order, and two
things are learned:

* ``Drain``, how fast it empties. A request whose deadline is nearer than twice its wait is refused at the door, where
  it costs nothing and its caller still has the time to ask elsewhere.
* ``Patience``, for the deadlines that nobody told us: when again and again more than a tenth of those that leave do so
  in vain, late or with nobody left to answer, the wait that is allowed becomes half of the one they did not bear. It
  grows again by 5 % a second. Where nobody leaves in vain there is no limit; nor where many do so at once, which is a
  client that ends with all its connections.

In a simulation of ten times the load that can be borne, with callers who leave after 1 s and say so to nobody, a plain
queue answers next to nothing in time, and this one 0.99 of its capacity (``tests/domain/test_waiting.py``).
"""

from __future__ import annotations

import math

_MEMORY = 0.9
"""What is kept, from one take to the next, of how fast it went so far."""
_ENOUGH = 20
"""Of how many that left the share in vain is told."""
_BEARABLE = 0.1
_MOMENTS, _MOMENT_S = 10, 0.01
"""Of fewer different moments, that far apart, at which somebody left in vain nothing is learned."""
_GROWTH_A_SECOND = 1.05
_LEAST_S = 0.05
"""No limit is shorter; who is less patient says so by a deadline."""
_FORGOTTEN_S = 60.0
"""A limit grown beyond this is none."""


class Drain:
    """How long a row takes to leave the queue, while there is one."""

    def __init__(self) -> None:
        self._seconds = self._rows = 0.0
        self._since: float | None = None

    def took(self, rows: int, now: float, more: bool) -> None:
        """Rows left for a lane, and ``more`` says whether others still wait, for which the clock goes on."""
        if self._since is not None:
            self._seconds = _MEMORY * self._seconds + now - self._since
            self._rows = _MEMORY * self._rows + rows
        self._since = now if more else None

    @property
    def seconds_a_row(self) -> float:
        """The mean of late; 0 as long as nothing is known."""
        return self._seconds / self._rows if self._rows else 0.0


class Patience:
    """How long requests may wait, learned from those that waited in vain."""

    def __init__(self) -> None:
        self._limit_s, self._changed = math.inf, -math.inf
        self._left = self._in_vain = 0
        self._borne_s = 0.0
        self._moments, self._moment = 0, -math.inf

    def limit_s(self, now: float) -> float:
        """How long a request may wait."""
        if self._limit_s == math.inf:
            return math.inf
        limit: float = self._limit_s * _GROWTH_A_SECOND ** (now - self._changed)
        if limit > _FORGOTTEN_S:
            self._limit_s = math.inf
        return limit

    def left(self, since: float, now: float, in_vain: bool) -> None:
        """A request that came at ``since`` is gone: answered, or in vain. Who came under another limit than today's
        says nothing of this one.
        """
        if since < self._changed:
            return
        self._left += 1
        if in_vain:
            if now - self._moment >= _MOMENT_S:
                self._moment, self._moments = now, self._moments + 1
            self._in_vain += 1
            self._borne_s += now - since
        if self._left < _ENOUGH:
            return
        if self._in_vain > _BEARABLE * self._left:
            if self._moments < _MOMENTS:
                return
            self._limit_s = max(_LEAST_S, min(self.limit_s(now), self._borne_s / self._in_vain) / 2)
            self._changed = now
        self._left = self._in_vain = self._moments = 0
        self._borne_s = 0.0
