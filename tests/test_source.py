"""What our source must be: short files; and must not do: run what it reads, end what is others'."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1]
UNPICKLERS = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "pandas.read_pickle"}
ALLOWED = {
    # what ended an attempt, as Ray wrote it a moment ago in a temporary folder of this run's own
    ("sweeps/driver/ray_callback.py", "cloudpickle.loads"),
    # a function that was given in Python, sent by the driver of this very run; read from no file
    ("sweeps/definition/resolve.py", "pickle.loads"),
}


def dangers(source: str) -> Iterator[str]:
    """The calls in a module that would run code that a file asks for."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        library, _, function = called.rpartition(".")
        if library in UNPICKLERS and function.startswith(("load", "open", "Unpickler")):
            yield called
        if function in ("read_pickle", "unsafe_load", "full_load") or called in ("eval", "exec"):
            yield called
        if called == "torch.load" and given.get("weights_only") != "True":
            yield called
        if called in ("np.load", "numpy.load") and given.get("allow_pickle", "False") != "False":
            yield called
        if called == "yaml.load" and [ast.unparse(a) for a in node.args[1:]] != ["Loader"]:
            yield called


FILES = [file for package in ("sweeps", "trainer") for file in (HERE / package).rglob("*.py")]


OURS = ("sweeps", "trainer", "tests", "benchmarks", "examples", ".ci")
LONGEST = 350
"""Lines of a file that is read in one sitting."""
HEAVY = {"ray", "torch", "torchvision", "tensorboard", "sklearn", "scipy", "pandas", "optuna"}


def test_no_file_is_too_long_to_be_read_in_one_sitting() -> None:
    files = [f for folder in OURS for f in (HERE / folder).rglob("*") if f.suffix in (".py", ".sh")]
    lengths = {str(f.relative_to(HERE)): len(f.read_text().splitlines()) for f in files}
    assert {name: n for name, n in lengths.items() if n > LONGEST} == {}


def test_a_package_says_what_it_is_and_importing_it_costs_nothing() -> None:
    """But for ``trainer.fused``, which is for those who have imported torch."""
    packages = [HERE / "trainer", *(f.parent for f in (HERE / "sweeps").rglob("__init__.py"))]
    for package in packages:
        assert ast.get_docstring(ast.parse((package / "__init__.py").read_text())), package
    names = [".".join(package.relative_to(HERE).parts) for package in packages]
    code = f"import sys, {', '.join(names)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert not HEAVY & {*done.stdout.split()}


def test_every_file_that_contributing_names_is_there() -> None:
    named = re.findall(
        r"`([\w./-]+(?:\.py|\.md|\.toml|/))`", (HERE / "CONTRIBUTING.md").read_text()
    )
    missing = [n for n in named if not (HERE / n).exists() and not (HERE / "sweeps" / n).exists()]
    assert len(named) > 50
    assert missing == ["FashionMNIST/raw/"]


def test_nothing_that_runs_code_is_read() -> None:
    assert len(FILES) > 30
    found = {(str(f.relative_to(HERE)), call) for f in FILES for call in dangers(f.read_text())}
    assert found == ALLOWED


def test_no_command_is_called_that_ends_processes_by_their_name() -> None:
    """``ray stop`` ends every Ray of the machine."""
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.List | ast.Tuple):
                words = [each.value for each in node.elts if isinstance(each, ast.Constant)]
                rays = "stop" in words and any("ray" in str(word) for word in words)
                assert not rays, f"{file}, line {node.lineno}"
                assert not {"pkill", "killall"} & {*words}, f"{file}, line {node.lineno}"
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("os.system", "subprocess.getoutput"), file


@pytest.mark.parametrize(
    "call",
    [
        "pickle.load(f)",
        "cloudpickle.loads(b)",
        "joblib.load(p)",
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "np.load(p, allow_pickle=True)",
        "yaml.load(t, yaml.Loader)",
        "yaml.unsafe_load(t)",
        "pd.read_pickle(p)",
        "eval(t)",
    ],
)
def test_the_count_misses_none(call: str) -> None:
    assert list(dangers(call))
