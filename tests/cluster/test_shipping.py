"""What is shipped is code, and what would be refused is told of before it is sent."""

import subprocess
import sys
from pathlib import Path

import pytest

from sweeps.cluster import shipping as package
from sweeps.cluster.shipping import pack
from sweeps.errors import SweepsError
from sweeps.sweep import Sweep

FILES = {
    "mine.py": "",
    "sub/deep/more.py": "",
    "settings.toml": "",
    "data/__init__.py": "",  # a package of this name is code
    "data/loader.py": "",
    "sub/data/images.bin": "",
    "runs/a/trial.json": "",
    ".env": "SECRET=1",
    ".git/config": "[core]",
    ".venv/bin/python": "",
    "venv/lib/x.py": "",
    "sub/__pycache__/more.pyc": "",
    "node_modules/x.js": "",
}
CODE = {"mine.py", "sub/deep/more.py", "settings.toml", "data/__init__.py", "data/loader.py"}


def fill(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def shipped(folder: Path) -> set[str]:
    """What lands in the package."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {file.relative_to(folder).as_posix() for file in files}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return fill(tmp_path / "source", FILES)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


def test_results_data_environments_and_hidden_files_stay_here(source: Path, target: Path) -> None:
    packed = pack(source, target)
    assert shipped(target) == CODE
    assert packed.files == len(CODE)
    assert set(packed.left_out) == {"node_modules/", "runs/", "venv/", "sub/data/"}


def test_in_a_repository_what_git_ignores_stays_too(source: Path, target: Path) -> None:
    (source / ".git/config").unlink()
    git = ["git", "-C", str(source)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    fill(source, {".gitignore": "*.log\nsettings.toml\n", "out.log": "", "new.py": ""})
    subprocess.run([*git, "add", "mine.py"], check=True)
    library = fill(source / "library", {"code.py": "", "data/x": ""})
    subprocess.run(["git", "-C", str(library), "init", "--quiet"], check=True)
    pack(source, target)
    assert shipped(target) == CODE - {"settings.toml"} | {"new.py", "library/code.py"}


def test_a_link_to_elsewhere_is_not_followed(source: Path, target: Path, tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", {"secret.py": ""})
    (source / "link").symlink_to(tmp_path / "elsewhere")
    (source / "file.py").symlink_to(tmp_path / "elsewhere/secret.py")
    (source / "inside.py").symlink_to("mine.py")
    pack(source, target)
    assert shipped(target) == CODE | {"inside.py"}
    assert not (target / "inside.py").is_symlink()


def test_a_large_file_is_left_out_and_named(source: Path, target: Path) -> None:
    with (source / "weights.pt").open("wb") as file:
        file.truncate(package.LARGEST_FILE + 1)
    packed = pack(source, target)
    assert packed.left_out["weights.pt"] == "10.5 MB"
    assert shipped(target) == CODE


def test_what_ray_would_refuse_is_refused_before_it_is_copied(source: Path, target: Path) -> None:
    for number in range(11):
        with (source / f"table{number}.csv").open("wb") as file:
            file.truncate(package.LARGEST_FILE)
    with pytest.raises(SweepsError, match=r"must be at most 100 MiB, got 16 files, 115\.3 MB;"):
        pack(source, target)
    assert not shipped(target)


def test_only_a_module_that_is_not_installed_is_shipped_with_its_folder(here: Path) -> None:
    (here / "mine.py").write_text("def train(config): ...\n")
    made = {"name": "x", "train": "mine:train", "metric": "loss", "mode": "min", "parameters": {}}
    assert Sweep(made).code == here
    (here / "src/pack").mkdir(parents=True)
    (here / "src/pack/__init__.py").touch()
    (here / "src/pack/work.py").write_text("def train(config): ...\n")
    sys.path.append(str(here / "src"))
    assert Sweep(made | {"train": "pack.work:train"}).code == here / "src"
    assert Sweep.from_yaml("quickstart").code is None
    installed = here / "site-packages"
    installed.mkdir()
    (installed / "theirs.py").write_text("def train(config): ...\n")
    sys.path.append(str(installed))
    assert Sweep(made | {"train": "theirs:train"}).code is None
