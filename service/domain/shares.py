"""How much of something bounded each of several holders may have: as long as there is room, whatever it asks for; when
it is full, up to an equal share, so that who filled it does not keep the others out. Then there is up to twice the
bound.
"""

from __future__ import annotations

from collections.abc import Hashable


class Shares:
    """An amount, by holder. Not thread-safe."""

    def __init__(self, most: int) -> None:
        self.most, self.held = most, 0
        self._by_holder: dict[Hashable, int] = {}

    def __getitem__(self, holder: Hashable) -> int:
        return self._by_holder.get(holder, 0)

    @property
    def holders(self) -> int:
        """How many hold anything."""
        return len(self._by_holder)

    def has_room(self, holder: Hashable, amount: int) -> bool:
        """Whether this holder may take so much more. Who asks while nothing is held may take anything."""
        held = self.held + amount
        if held <= self.most or not self.held:
            return True
        own = self[holder]
        others = len(self._by_holder) - bool(own)
        return bool(others) and held <= 2 * self.most and own + amount <= self.most // (others + 1)

    def take(self, holder: Hashable, amount: int) -> None:
        """Hold more, whether there is room or not."""
        self.held += amount
        self._by_holder[holder] = self._by_holder.get(holder, 0) + amount

    def give_back(self, holder: Hashable, amount: int) -> None:
        """Hold less. Who holds nothing is forgotten."""
        self.held -= amount
        left = self._by_holder.pop(holder, 0) - amount
        if left:
            self._by_holder[holder] = left
