"""Which trainers the settings ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.adapters.trainers import ProcessTrainer, RayTrainer
from service.domain.errors import InvalidInput
from service.settings import ServeSettings
from service.wiring.training import trainer_of

URL = "http://127.0.0.1:8265"


def test_without_a_cluster_they_run_on_this_machine(tmp_path: Path) -> None:
    assert isinstance(trainer_of(ServeSettings(ray_work_area=str(tmp_path / "shared")), tmp_path), ProcessTrainer)
    assert (tmp_path / "jobs").is_dir()
    assert not (tmp_path / "shared").exists()


@pytest.mark.parametrize("shared", [True, False])
async def test_on_a_cluster_they_work_where_its_machines_can_read(tmp_path: Path, shared: bool) -> None:
    place = tmp_path / "shared" if shared else tmp_path / "state"
    settings = ServeSettings(ray=URL, ray_work_area=str(place) if shared else "", database="")
    trainer = trainer_of(settings, tmp_path / "state")
    assert isinstance(trainer, RayTrainer)
    assert (place / "jobs").is_dir()
    await trainer.close()


def test_services_on_one_database_have_to_share_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="--ray-work-area"):
        trainer_of(ServeSettings(ray=URL, database="postgresql://u@h/n"), tmp_path)


def test_a_url_that_is_none_is_told_of_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="dashboard"):
        trainer_of(ServeSettings(ray="127.0.0.1:8265"), tmp_path)
