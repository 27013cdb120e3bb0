"""Going live where nobody directs versions: the newest that answers does, as with TensorFlow Serving."""

from __future__ import annotations

from service.domain.on_success import OnSuccess


class NewestAnswers:
    """The ``GoingLive`` port with nothing to do."""

    async def hold(self, model: str, by: str) -> None:
        """As the port says: nothing can be held."""

    async def published(self, model: str, version: int, on_success: OnSuccess, by: str) -> None:
        """As the port says: it answers because it is the newest."""
