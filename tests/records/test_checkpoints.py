"""What is handed over as a checkpoint: taken as it is, or refused with the form meant."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sweeps.errors import Misused
from sweeps.records.checkpoints import path_of


def test_a_checkpoint_is_a_path_in_whatever_form(tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    given = tmp_path / "model.pt"
    of_ray = SimpleNamespace(path=str(given))
    assert [path_of(form, folder) for form in (given, str(given), of_ray)] == [given] * 3
    assert path_of(folder / "epoch-3", folder) == folder / "epoch-3"


@pytest.mark.parametrize("state", [{"weights": [1.0]}, 3, [Path("model.pt")]])
def test_the_state_itself_is_no_checkpoint(state: Any, tmp_path: Path) -> None:
    with pytest.raises(Misused, match=rf"of type {type(state).__name__}; write it first"):
        path_of(state, tmp_path)


def test_a_folder_that_holds_the_trials_own_is_no_checkpoint(tmp_path: Path) -> None:
    """It would be copied into itself, until its path is too long."""
    folder = tmp_path / "trials" / "lr=0.1"
    folder.mkdir(parents=True)
    (tmp_path / "link").symlink_to(folder)
    for whole in (folder, folder.parent, folder / "..", tmp_path / "link"):
        with pytest.raises(Misused, match="must be a file or folder of its own"):
            path_of(whole, folder)
