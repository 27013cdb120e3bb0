"""Where published versions lie: a directory, looked at at a cost that does not grow with what is in it."""

from service.adapters.repositories.directory import DirectoryRepository
from service.adapters.repositories.reading import golden_in

__all__ = ["DirectoryRepository", "golden_in"]
