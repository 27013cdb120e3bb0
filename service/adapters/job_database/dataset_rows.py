"""Datasets in the database."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.adapters.job_database.connection import transaction
from service.adapters.job_database.statements import ENDED, found, one_dataset
from service.adapters.job_database.tables import as_dataset, dataset_row, datasets, jobs
from service.domain.dataset import Dataset
from service.domain.errors import Conflict


class DatasetRows:
    """The part of the ``JobStore`` port that is about datasets."""

    _engine: Engine

    def add_dataset(self, dataset: Dataset) -> Dataset:
        """As the port says."""
        try:
            with transaction(self._engine, writes=True) as connection:
                known = one_dataset(connection, dataset.id)
                if known is not None:
                    return known
                connection.execute(insert(datasets).values(dataset_row(dataset)))
                return dataset
        except IntegrityError:  # another writer's came between; SQLite's cannot
            return self.dataset(dataset.id)

    def replace_dataset(self, dataset: Dataset, lost_file: str) -> Dataset:
        """As the port says."""
        lost = (datasets.c.id == dataset.id, datasets.c.file == lost_file)
        with transaction(self._engine, writes=True) as connection:
            connection.execute(update(datasets).where(*lost).values(dataset_row(dataset)))
        return self.add_dataset(dataset)

    def dataset(self, dataset_id: str) -> Dataset:
        """As the port says."""
        with transaction(self._engine) as connection:
            return found(one_dataset(connection, dataset_id), dataset_id)

    def datasets(self) -> Sequence[Dataset]:
        """As the port says."""
        query = select(datasets).order_by(datasets.c.created.desc(), datasets.c.id.desc())
        with transaction(self._engine) as connection:
            return [as_dataset(row) for row in connection.execute(query).mappings()]

    def delete_dataset(self, dataset_id: str) -> Dataset:
        """As the port says."""
        needing = select(jobs.c.id).where(jobs.c.dataset == dataset_id, jobs.c.state.not_in(ENDED)).limit(1)
        with transaction(self._engine, writes=True) as connection:
            dataset = found(one_dataset(connection, dataset_id, lock=True), dataset_id)
            job_id = connection.execute(needing).scalar()
            if job_id is not None:
                raise Conflict(f"dataset {dataset_id} is needed by job {job_id}")
            connection.execute(datasets.delete().where(datasets.c.id == dataset_id))
            return dataset

    def unused_datasets(self, created_before: float) -> Sequence[Dataset]:
        """As the port says."""
        query = select(datasets).where(datasets.c.created < created_before, ~_named_by_a_job())
        with transaction(self._engine) as connection:
            return [as_dataset(row) for row in connection.execute(query.order_by(datasets.c.created)).mappings()]

    def forget_dataset(self, dataset: Dataset) -> bool:
        """As the port says."""
        there = (datasets.c.id == dataset.id, datasets.c.file == dataset.file)
        with transaction(self._engine, writes=True) as connection:
            # A job that is being added holds this lock; when we have it, the job is there to be seen.
            connection.execute(select(datasets.c.id).where(*there).with_for_update())
            return bool(connection.execute(datasets.delete().where(*there, ~_named_by_a_job())).rowcount)


def _named_by_a_job() -> ColumnElement[bool]:
    return select(jobs.c.id).where(jobs.c.dataset == datasets.c.id).exists()
