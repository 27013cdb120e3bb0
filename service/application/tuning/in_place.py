"""Publishing where trainers publish in the repository itself: what they have published is there for everyone."""

from __future__ import annotations


class PublishedInPlace:
    """The ``VersionPublisher`` port with nothing left to do."""

    def outbox(self, job_id: str) -> None:
        """As the port says: none."""

    def publish(self, job_id: str, model: str, version: int) -> int:
        """As the port says."""
        return version

    def discard(self, job_id: str) -> None:
        """As the port says: there is nothing."""
