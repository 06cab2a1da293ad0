"""The forms of a training function: taken, or refused with the form that is meant."""

import functools
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from sweeps import InvalidSweep, Sweep, SweepsError
from sweeps.definition.find import SearchPath, find_module, places
from sweeps.definition.plain import to_plain
from sweeps.definition.signature import accepted
from sweeps.definition.source import code_of, heavy_imports


def full(config: Any, *, report: Any, log_dir: Any = None, resume_from: Any = None) -> None: ...
def by_parameters(lr: float, width: int) -> None: ...
async def asynchronous(config: Any, *, report: Any) -> None: ...


class Old:
    def setup(self, config: Any) -> None: ...
    def step(self) -> None: ...


class Callable_:  # noqa: N801
    def __call__(self, config: Any, *, report: Any) -> None: ...


def timed(function: Callable[..., None]) -> Callable[..., None]:
    def wrapper(*args: Any, **kwargs: Any) -> None:
        function(*args, **kwargs)

    return wrapper


def blank(*args: Any, **kwargs: Any) -> None: ...


@pytest.mark.parametrize(
    ("function", "takes"),
    [
        (full, {"report", "log_dir", "resume_from"}),
        (timed(full), {"report", "log_dir", "resume_from"}),
        (timed(timed(lambda config: None)), set()),
        (functools.wraps(full)(timed(blank)), {"report", "log_dir", "resume_from"}),
        (functools.partial(full, log_dir=None), {"report", "log_dir", "resume_from"}),
        (Callable_(), {"report"}),
        (lambda config, **kwargs: None, {"report", "log_dir", "resume_from"}),
    ],
)
def test_what_a_function_takes_is_seen_through_decorators(function: Any, takes: set[str]) -> None:
    assert accepted(function, "mine:train") == takes


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (by_parameters, "inside train(config), these are config['lr'], config['width']"),
        (asynchronous, "is async; a trainable is a plain function"),
        (Old, "is a class; a trainable is a function, train(config)"),
        (blank, "let the decorator use functools.wraps"),
        (3, "must be a function, got a value of type int"),
        (lambda: None, "must be callable as train(config)"),
    ],
)
def test_what_cannot_be_called_is_refused_with_the_form_that_is_meant(
    function: Any, says: str
) -> None:
    with pytest.raises(SweepsError) as error:
        accepted(function, "mine:train")
    assert says in str(error.value)


def test_the_users_own_module_of_a_name_of_ours_is_theirs(here: Path) -> None:
    (here / "trainer.py").write_text("def train(config): ...\n")
    ours = {name: module for name, module in sys.modules.items() if _is_trainer(name)}
    try:
        name, search = places("trainer:train", here / "sweep.yaml")
        found = find_module("trainer", name, search)
        assert Path(str(found.__file__)).parent == here
        name, search = places("trainer:train", None, is_shipped=True)
        shipped = find_module("trainer", name, search)
        assert hasattr(shipped, "Task")
    finally:
        for name in filter(_is_trainer, list(sys.modules)):
            del sys.modules[name]
        sys.modules.update(ours)


def _is_trainer(module: str) -> bool:
    return module.partition(".")[0] == "trainer"


def test_a_file_is_looked_for_beside_the_sweep_file_and_so_are_modules(here: Path) -> None:
    (here / "sub").mkdir()
    (here / "sub" / "mine.py").write_text("def train(config, *, report): ...\n")
    for train, source in (
        ("mine:train", here / "sub/sweep.yaml"),
        ("mine.py:train", here / "sub/sweep.yaml"),
        ("sub/mine.py:train", None),
    ):
        name, search = places(train, source)
        assert name == "mine:train"
        assert str(here / "sub") in search.folders
    with pytest.raises(SweepsError, match=r"no file other\.py"):
        places("other.py:train", here / "sub/sweep.yaml")


def test_a_module_that_reads_the_command_line_sees_none(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "parses.py").write_text(
        "import argparse\nparser = argparse.ArgumentParser()\n"
        "parser.add_argument('--lr', default=0.1)\noptions = parser.parse_args()\n"
    )
    monkeypatch.setattr(sys, "argv", ["sweeps", "run", "sweep.yaml"])
    module = find_module("parses", "parses:train", SearchPath((str(here),)))
    assert module.options.lr == 0.1
    assert sys.argv == ["sweeps", "run", "sweep.yaml"]


def test_a_module_that_sets_folder_and_output_sets_them_for_its_trials_alone(here: Path) -> None:
    """Else the sweep's relative directory would be made in the folder that it has gone to."""
    (here / "sets.py").write_text(
        "import os, sys\nos.chdir('/')\nsys.stdout = sys.stderr = None\n"
        "def train(config): return {'loss': 1.0}\n"
    )
    Sweep({**SPACE, "train": "sets:train", "parameters": {"lr": 0.1}})
    assert Path.cwd() == here
    assert sys.stdout is not None and sys.stderr is not None


def test_heavy_imports_are_seen_wherever_they_stand(here: Path) -> None:
    (here / "lazy.py").write_text(
        "import json\ndef train(config):\n    import torch\n    from ray import tune\n"
    )
    module = find_module("lazy", "lazy:train", SearchPath((str(here),)))
    assert set(heavy_imports(module)) == {"ray", "ray.tune", "torch"}


SPACE = {"name": "mine", "metric": "loss", "mode": "min"}


def closure(factor: float) -> Callable[..., None]:
    def train(config: Mapping[str, Any], *, report: Any) -> None:
        report({"loss": factor * config["lr"]})

    return train


def test_a_function_is_taken_as_it_is_and_its_code_is_its_identity() -> None:
    def ids(train: Any) -> set[str]:
        return {t.id for t in Sweep(SPACE, train=train, parameters={"lr": [1.0, 2.0]}).trials}

    assert ids(closure(1.0)) == ids(closure(1.0))
    assert not ids(closure(1.0)) & ids(closure(2.0))
    assert not ids(lambda config: {"loss": 1.0}) & ids(lambda config: {"loss": 2.0})
    assert Sweep(SPACE, train=full, parameters={"lr": 1.0}).file.train == f"{__name__}:full"
    assert code_of(closure(1.0)) == code_of(closure(1.0))


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.arange(3), [0, 1, 2]),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        ((1, 2), [1, 2]),
        (range(3), [0, 1, 2]),
        (Path("data"), "data"),
        ({"choice": (np.int64(1), "a")}, {"choice": [1, "a"]}),
    ],
)
def test_pythons_values_are_taken_as_the_plain_ones_they_are(value: Any, plain: Any) -> None:
    assert to_plain(value, "parameters.x") == plain


@pytest.mark.parametrize(("value", "name"), [(nn.ReLU, "ReLU"), (full, "full")])
def test_a_class_or_function_is_refused_with_the_form_that_is_meant(value: Any, name: str) -> None:
    with pytest.raises(InvalidSweep, match=rf"parameters\.act: must be a plain value.*'{name}'"):
        Sweep(SPACE, train=full, parameters={"act": [value]})


def test_a_current_directory_that_is_gone_is_told(here: Path) -> None:
    here.rmdir()
    with pytest.raises(SweepsError, match="current directory cannot be used: No such file or dir"):
        places("mine:train", None)
