"""Labelled data in the service's keeping: accepted only after the trainer's own check, immutable, named by its content.

Promises that an upload either becomes a dataset, row and file both, or leaves nothing: the file is moved in first and
the row written second, so that whatever a kill leaves behind is a file without a row, which the next start sweeps. How
files are read is the checker's to know.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from service.application.ports import DatasetChecker, DatasetFiles, TuningObserver
from service.application.tuning.blocking import held
from service.application.tuning.ledger import Ledger
from service.domain.artifact import InputSpec
from service.domain.dataset import LABEL, TASK, UPLOADED, Dataset, DatasetFormat, DatasetReport, dataset_id, misfits
from service.domain.errors import DatasetNotFound, InvalidDataset, InvalidInput, ModelFailed
from service.domain.learning import LearningTask
from service.domain.sample import SampleWish

log = logging.getLogger(__name__)
LONGEST_OPTION = 200
LONGEST_FILENAME = 200


class Datasets:
    """Accepts, lists and deletes datasets."""

    def __init__(self, ledger: Ledger, checker: DatasetChecker, files: DatasetFiles, observer: TuningObserver) -> None:
        self._ledger = ledger
        self._checker = checker
        self._files = files
        self._observer = observer

    def incoming(self) -> AbstractContextManager[Path]:
        """A new, empty file to receive an upload in, gone after the block unless it was accepted. Blocks shortly."""
        return self._files.incoming()

    async def accept(
        self,
        file: Path,
        filename: str,
        format: str | None = None,
        options: Mapping[str, str] | None = None,
        fits: InputSpec | None = None,
        sample: SampleWish | None = None,
    ) -> Dataset:
        """Check an ``incoming`` file and keep it; the same content again is the dataset there is already, unless the
        file of that is gone: then it is mended. With ``fits`` it must also be what a base takes. The ``sample`` that
        is wished for is as the checker says.

        Raises:
            InvalidInput: no such format or option.
            InvalidDataset: with every fault found.
            ModelFailed: the check itself broke.
        """
        options = checked_options(options or {})
        size = await self._ledger.call(lambda: file.stat().st_size)
        began = self._ledger.clock.monotonic()
        report = await self._checker.check(file, checked_format(format), options, sample)
        unfit = misfits(report, fits) if fits else []
        fault_count = max(report.fault_count, len(report.faults)) + len(unfit)
        self._observer.dataset_checked(not fault_count, size, self._ledger.clock.monotonic() - began)
        if fault_count:
            raise InvalidDataset((*report.faults, *unfit), fault_count)
        dataset = self._named(report, filename, size, options)
        stored = await self._ledger.call(self._keep, file, dataset)
        log.info("dataset accepted", extra={"action": "accept_dataset", "dataset": stored.id, "items": report.items})
        return stored

    async def append(
        self,
        id: str,
        file: Path,
        filename: str,
        format: str | None = None,
        options: Mapping[str, str] | None = None,
    ) -> Dataset:
        """A new dataset of the items of another and those of a file that it has not; where it has all, it is that one.
        ``options`` take the place of the dataset's own, except for the task, which stays.

        Raises:
            DatasetNotFound: there is no such dataset.
            InvalidDataset: the file has faults, or says something else of items that are there.
            As ``accept`` does.
        """
        parent = await self.get(id)
        own, given = dict(parent.options), checked_options(options or {})
        if given.get(TASK, own.get(TASK, "")) != own.get(TASK, ""):
            raise InvalidInput(f"dataset {id} was accepted for another task than {given[TASK]!r}")
        chosen = {**own, **given}
        async with held(self.incoming()) as into:
            old = await self._ledger.call(self.file, parent)
            made = await self._checker.extend(old, parent, file, checked_format(format), chosen, into)
            if made.report.fault_count:
                raise InvalidDataset(made.report.faults, made.report.fault_count)
            if not made.added:
                return parent
            size = await self._ledger.call(lambda: into.stat().st_size)
            dataset = replace(self._named(made.report, filename, size, made.options), parent=parent.id)
            stored = await self._ledger.call(self._keep, into, dataset)
        counts = {"added": made.added, "known": made.known}
        log.info("dataset extended", extra={"action": "append_dataset", "dataset": stored.id, "parent": id, **counts})
        return stored

    async def get(self, id: str) -> Dataset:
        """Raises: DatasetNotFound."""
        if not id.isascii() or not id.isprintable():
            raise DatasetNotFound("there is no dataset of this name")
        return await self._ledger.call(self._ledger.store.dataset, id)

    async def sample(self, dataset: Dataset, wish: SampleWish) -> None:
        """Have some items of a dataset handed over, as the checker says. Raises: ModelFailed, NotReady."""
        file = await self._ledger.call(self.file, dataset)
        await self._checker.check(file, dataset.report.format, dataset.options, wish)

    async def all(self) -> Sequence[Dataset]:
        """Newest first."""
        return await self._ledger.call(self._ledger.store.datasets)

    async def delete(self, id: str) -> None:
        """Raises: DatasetNotFound; Conflict while a job needs it."""
        dataset = await self.get(id)
        await self._ledger.call(self._delete, dataset.id)
        log.info("dataset deleted", extra={"action": "delete_dataset", "dataset": id})

    async def sweep(self) -> None:
        """Remove what processes that were killed left behind."""
        swept = await self._ledger.call(self._files.sweep, self._kept)
        if swept:
            log.info("swept files", extra={"action": "sweep_datasets", "files": swept})

    def file(self, dataset: Dataset) -> Path:
        """Where its content lies."""
        return self._files.path(dataset.file)

    def _named(self, report: DatasetReport, filename: str, size: int, options: Mapping[str, str]) -> Dataset:
        if report.digest is None or report.format is None:
            raise ModelFailed("the check of the data found no fault, yet gave no digest or no format")
        id = dataset_id(report.digest)
        # Each upload's file has a name of its own, so that two of the same content, or one beside a deletion, never
        # touch each other's: the row says which file counts.
        file = f"{id}-{secrets.token_hex(6)}.{report.format}"
        return Dataset(id, report, shown(filename), size, self._ledger.clock.now(), dict(options), file)

    def _keep(self, file: Path, dataset: Dataset) -> Dataset:
        self._files.keep(file, dataset.file)
        stored = self._ledger.store.add_dataset(dataset)
        if stored.file != dataset.file and not self._files.path(stored.file).exists():
            log.warning("the file of dataset %s is gone; the upload takes its place", stored.id)
            stored = self._ledger.store.replace_dataset(dataset, stored.file)
        if stored.file != dataset.file:
            self._files.discard(dataset.file)
        return stored

    async def forget(self, dataset: Dataset) -> bool:
        """Delete it unless a job names it; whether it was deleted."""
        return await self._ledger.call(self._forget, dataset)

    def _forget(self, dataset: Dataset) -> bool:
        forgotten = self._ledger.store.forget_dataset(dataset)
        if forgotten:
            self._files.discard(dataset.file)
        return forgotten

    def _delete(self, id: str) -> None:
        self._files.discard(self._ledger.store.delete_dataset(id).file)

    def _kept(self) -> Collection[str]:
        return {dataset.file for dataset in self._ledger.store.datasets()}


def checked_format(name: str | None) -> DatasetFormat | None:
    """A format by its name; None for none. Raises: InvalidInput."""
    if not name:
        return None
    if name not in UPLOADED:
        raise InvalidInput(
            f"{name[:80]!r} is no dataset format that can be sent; give one of {', '.join(UPLOADED)}, or none"
        )
    return DatasetFormat(name)


def checked_options(options: Mapping[str, str]) -> Mapping[str, str]:
    """The same options. Raises: InvalidInput."""
    for name, value in options.items():
        if name not in {LABEL, TASK}:
            raise InvalidInput(
                f"a dataset has no option {name[:80]!r}; there are 'label', the column of the labels, and 'task'"
            )
        if name == TASK and value not in list(LearningTask):
            raise InvalidInput(f"{value[:80]!r} is no task; give one of {', '.join(LearningTask)}")
        if not value or not value.isprintable() or len(value) > LONGEST_OPTION:
            raise InvalidInput(f"the option {name!r} takes 1 to {LONGEST_OPTION} printable characters")
    return options


def shown(filename: str) -> str:
    """A file's name as its owner would know it again; it is shown, and never used as a path."""
    last = filename.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[:LONGEST_FILENAME] or "upload"
