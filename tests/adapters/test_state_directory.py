"""The state directory is one service's own for as long as it lives."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.adapters.state_directory import StateDirectory


def test_a_second_service_is_refused_until_the_first_has_let_go(tmp_path: Path) -> None:
    """The refusal says what to do."""
    first = StateDirectory(tmp_path / "state")
    with pytest.raises(OSError, match="another graft serve uses the state directory"):
        StateDirectory(tmp_path / "state")
    first.release()
    StateDirectory(tmp_path / "state").release()
