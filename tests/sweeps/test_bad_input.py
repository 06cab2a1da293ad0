"""Bad input: one clear message, exit status 2, Ray is not started, nothing is written or lost."""

import json
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sweeps import Sweep
from sweeps.cli import app
from sweeps.history import Report, append_report
from sweeps.ledger import Ledger, Overview, Status
from sweeps.space import MAX_TRIALS
from tests.conftest import run_command

OFFLINE = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "no_proxy": ""}
NAME_RULE = "name: must be 1 to 64 letters, digits, '.', '_' or '-', starting with a letter or"
DISTRIBUTIONS = "uniform, log_uniform, int_uniform or choice"


def nothing(folder: Path) -> None:
    """The folder is as the case's files make it."""


@dataclass(frozen=True)
class Case:
    """A command, what lies in its folder, and what its message must say."""

    command: str
    says: tuple[str, ...]
    files: Mapping[str, str]
    setup: Callable[[Path], object]


def sweep(**changes: str) -> str:
    """A sweep file, good but for these keys."""
    keys = {
        "name": "mine",
        "train": "trainer:train",
        "metric": "accuracy/test",
        "mode": "max",
        "parameters": "{dataset: digits}",
    }
    return "".join(f"{key}: {value}\n" for key, value in {**keys, **changes}.items())


def case(
    sentence: str,
    *says: str,
    file: str | None = None,
    command: str = "run sweep.yaml",
    files: Mapping[str, str] | None = None,
    setup: Callable[[Path], object] = nothing,
) -> Any:
    """One row of the table; without a ``file`` the sweep file is good."""
    files = {"sweep.yaml": sweep() if file is None else file, **(files or {})}
    return pytest.param(Case(command, says, files, setup), id=sentence)


def parameters(sentence: str, flow: str, *says: str) -> Any:
    """A row on the parameters of the shipped trainer, written as one YAML mapping."""
    return case(sentence, *says, file=sweep(parameters=flow))


def override(sentence: str, arguments: str, *says: str) -> Any:
    """A row on overrides of a sweep file that is good and has a learning rate."""
    file = sweep(parameters="{lr: 0.1, batch_size: 64, dataset: digits}")
    return case(sentence, *says, file=file, command=f"run sweep.yaml {arguments}")


def module(sentence: str, name: str, code: str, *says: str) -> Any:
    """A row on a user's own training module; each has a name of its own, as Python keeps them."""
    file = sweep(train=f"{name}:train", parameters="{lr: 0.1}")
    return case(sentence, *says, file=file, files={f"{name}.py": code})


def record(**changes: Any) -> str:
    """A sweep.json, good but for these keys."""
    keys = {"format": 1, "name": "mine", "metric": "loss", "mode": "min", "sweep": {}, "trials": []}
    return json.dumps({**keys, **changes})


def finished(folder: Path) -> None:
    """A sweep of one trial in runs/mine, as if it had run."""
    [trial] = Sweep.from_yaml(folder / "sweep.yaml").trials
    ledger = Ledger(folder / "runs/mine")
    done = replace(ledger.record(trial), status=Status.FINISHED, attempts=1)
    ledger.write(done)
    ledger.write_overview(Overview("mine", "accuracy/test", "max", {}, (trial,)))
    metrics = {"accuracy/test": 0.9, "loss/test": 0.1}
    append_report(ledger.directory / done.path, Report(0, metrics, seconds=1.0))


def axis(length: int) -> str:
    return str(list(range(1, length + 1)))


FILES = [
    case(
        "a missing file names the nearest one beside it",
        "sweeep.yaml: no such file, and no shipped sweep; did you mean 'sweep.yaml'?",
        command="run sweeep.yaml",
    ),
    case(
        "an unknown shipped sweep names the nearest",
        "quickstrat: no such file, and no shipped sweep; did you mean 'quickstart'?",
        command="run quickstrat",
    ),
    case(
        "a missing file that is like no other lists the shipped sweeps",
        "x/y: no such file, and no shipped sweep; shipped are fashion-mnist, quickstart",
        command="plan x/y",
    ),
    case(
        "a directory is no sweep file",
        "folder: cannot be read as a sweep file: Is a directory",
        command="run folder",
        setup=lambda folder: (folder / "folder").mkdir(),
    ),
    case(
        "a file name that is too long",
        "xxx: cannot be read as a sweep file: File name too long",
        command=f"run {'x' * 300}",
    ),
    case(
        "an empty file is told which keys it needs",
        "sweep.yaml is not a valid sweep:",
        "must be a mapping with the keys name, train, metric, mode, parameters; got nothing",
        file="",
    ),
    case(
        "a file of comments is empty too",
        "must be a mapping with the keys name, train, metric, mode, parameters; got nothing",
        file="# later\n",
    ),
    case(
        "a list is no sweep",
        "must be a mapping with the keys name, train, metric, mode, parameters; got ['a', 'b']",
        file="[a, b]",
    ),
    case(
        "bytes that are not UTF-8 are named with their place",
        "sweep.yaml: must be text in UTF-8, got the byte 0xff at position 2",
        setup=lambda folder: (folder / "sweep.yaml").write_bytes(b"a:\xff"),
    ),
    case(
        "a syntax error is named with line and column",
        "line 2, column 5: while parsing a flow sequence, expected ',' or ']', but got ':'",
        file="name: [a\nmode: max\n",
    ),
    case(
        "a tab as indentation is named with line and column",
        "line 2, column 1: ",
        r"found character '\t'",
        file="resources:\n\tcpu: 1\n",
    ),
    case(
        "a control character is named with its place",
        r"character 8: '\x01' is not allowed in YAML",
        file="name: a\x01b\n",
    ),
    case(
        "two documents in one file",
        "line 7, column 1: expected a single document in the stream, but found another document",
        file=sweep(seeds="1") + "---\n" + sweep(),
    ),
    case(
        "a repeated key",
        "line 6, column 1: the key 'name' is given twice",
        file=sweep() + "name: other\n",
    ),
    case(
        "a repeated key inside resources",
        "line 6, column 21: the key 'cpu' is given twice",
        file=sweep(resources="{cpu: 1, cpu: 2}"),
    ),
    case(
        "a key that is no text",
        "line 6, column 1: a key must be text, got true",
        file=sweep() + "true: 1\n",
    ),
    case(
        "a key that is a list",
        "line 6, column 15: a key must be text, got [1, 2]",
        file=sweep(resources="{? [1, 2] : 3}"),
    ),
    case(
        "a tag that would run code is not followed",
        "line 1, column 7: the tag !!python/object/apply:os.mkdir is not allowed",
        file=sweep(name="!!python/object/apply:os.mkdir [made]"),
    ),
    case(
        "a value that contains itself",
        "line 5, column 18: a value must not contain itself",
        file=sweep(parameters="{lr: &a [*a]}"),
    ),
    case(
        "a value that is nested too deeply",
        "it is nested too deeply",
        file=sweep(parameters="[" * 5000 + "]" * 5000),
    ),
    case(
        "a whole number of more than 64 bits",
        "a whole number must lie within 64 bits, got 1000000000000000000000000",
        file=sweep(seeds="1" + "0" * 5000),
    ),
]

KEYS = [
    case(
        "every problem of a file is told at once with its dotted path",
        "name: must be 1 to 64 letters",
        "train: must be 'module:function', such as trainer:train; got 'x'",
        "metric: must be text, got null",
        "mode: must be 'max' or 'min', got 'maximum'; did you mean 'max'?",
        "parameters.lr: a grid axis needs at least one value, got []",
        "parameters.epochs: a distribution has exactly one key",
        "samples: must be at least 1, got 0",
        "seeds: must be at least 1, got 0",
        "resources.cpus: unknown key; did you mean 'cpu'?",
        "resources.gpu: must be auto or a number",
        "max_failures: must be at least 0, got -1",
        "repeat: unknown key; valid are ",
        "max_failures, metric, mode, name, parameters, resources, samples, seeds, train",
        file=sweep(
            name="a/b",
            train="x",
            metric="",
            mode="maximum",
            parameters="{lr: [], epochs: {}}",
            samples="0",
            seeds="0",
            resources="{cpus: 2, gpu: some}",
            max_failures="-1",
            repeat="3",
        ),
    ),
    case(
        "keys that are missing are all listed",
        *(f"{key}: required, but missing" for key in ("name", "metric", "mode", "parameters")),
        file="train: trainer:train\n",
    ),
    case(
        "an unknown key names the nearest",
        "max_failure: unknown key; did you mean 'max_failures'?",
        file=sweep(max_failure="3"),
    ),
    case(
        "an unknown key of resources names the nearest",
        "resources.gpus: unknown key; did you mean 'gpu'?",
        file=sweep(resources="{gpus: 1}"),
    ),
    case(
        "resources that are no mapping",
        "resources: must be a mapping, got 2",
        file=sweep(resources="2"),
    ),
    case(
        "parameters that are no mapping",
        "parameters: must be a mapping, got 'lr'",
        file=sweep(parameters="lr"),
    ),
    case(
        "parameters without a value",
        "parameters: must be a mapping, got null",
        file=sweep(parameters=""),
    ),
    case("a name with a slash", NAME_RULE, "got 'a/b'", file=sweep(name="a/b")),
    case("a name that leads out", NAME_RULE, "got '../up'", file=sweep(name="../up")),
    case("a name of dots", NAME_RULE, "got '..'", file=sweep(name="..")),
    case("a name with a leading dash", NAME_RULE, "got '-rf'", file=sweep(name="-rf")),
    case("an empty name", NAME_RULE, "got ''", file=sweep(name='""')),
    case("a name that is too long", NAME_RULE, "got 'nnn", "nnn...", file=sweep(name="n" * 300)),
    case("a control character in a name", NAME_RULE, r"'a\x07'", file=sweep(name=r'"a\u0007"')),
    case(
        "a name that is a number",
        "name: must be text, got 3; write it in quotes",
        file=sweep(name="3"),
    ),
    case(
        "a metric that the trainer never reports names the nearest",
        "metric: 'accuracy/tset' is never reported; did you mean 'accuracy/test'?",
        file=sweep(metric="accuracy/tset"),
    ),
    case(
        "an empty metric",
        "metric: must have at least 1 character, got ''",
        file=sweep(metric='""'),
    ),
    case(
        "a mode that is neither min nor max",
        "mode: must be 'max' or 'min', got 'best'",
        file=sweep(mode="best"),
    ),
    case("no samples", "samples: must be at least 1, got 0", file=sweep(samples="0")),
    case(
        "samples without a distribution to draw them from",
        "samples: must be 1 if no parameter is a distribution to draw from, got 3;",
        "to repeat every configuration, use seeds",
        file=sweep(samples="3"),
    ),
    case("no seeds", "seeds: must be at least 1, got 0", file=sweep(seeds="0")),
    case("half a seed", "seeds: must be a whole number, got 2.5", file=sweep(seeds="2.5")),
    case(
        "seeds together with a seed",
        "seeds: must be 1 if parameters.seed is given, got 2; leave one out",
        "mode: must be",
        file=sweep(seeds="2", parameters="{seed: 7, dataset: digits}", mode="best"),
    ),
    case(
        "a negative number of failures",
        "max_failures: must be at least 0, got -1",
        file=sweep(max_failures="-1"),
    ),
    case(
        "more trials than the cap",
        f"parameters: must make at most {MAX_TRIALS:,} trials, got 160,000;",
        "give fewer values, samples or seeds",
        file=sweep(parameters=f"{{lr: {axis(400)}, batch_size: {axis(400)}}}"),
    ),
    case(
        "more seeds than the cap",
        f"at most {MAX_TRIALS:,} trials, got {MAX_TRIALS + 1:,};",
        file=sweep(seeds=str(MAX_TRIALS + 1)),
    ),
    case(
        "no processor",
        "resources.cpu: must be at least 0.0001, got 0",
        file=sweep(resources="{cpu: 0}"),
    ),
    case(
        "more processors than the machine has",
        "a trial asks for 3 CPU and 0 GPU, but no node has that (nodes have: 2 CPU and 0 GPU);",
        "lower resources.cpu",
        file=sweep(resources="{cpu: 3}"),
        command="run sweep.yaml --cpus 2 --gpus 0",
    ),
    case(
        "a GPU where there is none",
        "a trial asks for 1 CPU and 1 GPU, but no node has that (nodes have: 2 CPU and 0 GPU);",
        file=sweep(resources="{gpu: 1}"),
        command="plan sweep.yaml --cpus 2 --gpus 0",
    ),
    case(
        "fewer GPUs than none",
        "resources.gpu: must be auto or a number of GPUs, at least 0; got -1",
        file=sweep(resources="{gpu: -1}"),
    ),
    case(
        "one GPU and a half",
        "resources.gpu: must be a whole number if it is more than 1, got 1.5",
        file=sweep(resources="{gpu: 1.5}"),
    ),
    case(
        "some GPUs",
        "resources.gpu: must be auto or a number of GPUs, at least 0; got 'some'",
        file=sweep(resources="{gpu: some}"),
    ),
    case(
        "an array of no trials",
        "fuse: must be auto, off, or the most trials in one array; got 0",
        file=sweep(fuse="0"),
    ),
    case(
        "a smaller part of a GPU than Ray can give",
        "resources.gpu: must be 0 or at least 0.0001, got 1e-09",
        file=sweep(resources="{gpu: 1e-9}"),
    ),
]

PARAMETERS = [
    parameters(
        "an unknown parameter names the nearest",
        "{batchsize: 64}",
        "parameters.batchsize: unknown key; did you mean 'batch_size'?",
    ),
    parameters(
        "an unknown parameter that is like no other lists them all",
        "{zzz: 1}",
        "parameters.zzz: unknown key; valid are batch_size, data_dir, dataset, epochs, lr,",
    ),
    parameters(
        "each bad value of a grid is named",
        "{lr: [0.1, -1, fast], epochs: [1, 0]}",
        "parameters.lr: must be greater than 0, got -1",
        "parameters.lr: must be a number, got 'fast'",
        "parameters.epochs: must be at least 1, got 0",
    ),
    parameters(
        "hundreds of bad values are counted",
        f"{{lr: {[-n for n in range(1, 101)]}}}",
        "parameters.lr: must be greater than 0, got -30\n  ... and 70 more",
    ),
    parameters("text for a number", "{lr: fast}", "parameters.lr: must be a number, got 'fast'"),
    parameters(
        "a number in quotes",
        '{lr: "0.1"}',
        "parameters.lr: must be a number, got '0.1'; write it without quotes",
    ),
    parameters(
        "a whole number in quotes",
        '{batch_size: "64"}',
        "parameters.batch_size: must be a whole number, got '64'; write it without quotes",
    ),
    parameters(
        "yes for true",
        "{shuffle: yes}",
        "parameters.shuffle: must be true or false, got 'yes'",
    ),
    parameters("one for true", "{shuffle: 1}", "parameters.shuffle: must be true or false, got 1"),
    parameters(
        "a date for a number",
        "{lr: 2020-01-01}",
        "parameters.lr: must be a number, got '2020-01-01'",
    ),
    parameters("null for a number", "{lr: null}", "parameters.lr: must be a number, got null"),
    parameters(
        "a tagged date",
        "{lr: !!timestamp 2020-01-01}",
        "parameters.lr: must be a number, text, true, false or null, got datetime.date(",
    ),
    parameters("a rate of zero", "{lr: 0}", "parameters.lr: must be greater than 0, got 0"),
    parameters("a negative rate", "{lr: -0.1}", "parameters.lr: must be greater than 0, got -0.1"),
    parameters("no number", "{lr: .nan}", "parameters.lr: must be a finite number, got nan"),
    parameters("infinity", "{lr: [.inf]}", "parameters.lr: must be a finite number, got inf"),
    parameters(
        "batches of nothing",
        "{batch_size: 0}",
        "parameters.batch_size: must be at least 1, got 0",
    ),
    parameters(
        "batches of less than nothing",
        "{batch_size: -32}",
        "parameters.batch_size: must be at least 1, got -32",
    ),
    parameters(
        "half an image",
        "{batch_size: 32.5}",
        "parameters.batch_size: must be a whole number, got 32.5",
    ),
    parameters(
        "batches larger than the training set",
        "{dataset: digits, batch_size: [64, 2000]}",
        "batch_size must be at most 1,500, the training images of digits; got 2,000",
    ),
    parameters("no epochs", "{epochs: 0}", "parameters.epochs: must be at least 1, got 0"),
    parameters(
        "too much momentum",
        "{momentum: 1.5}",
        "parameters.momentum: must be less than 1, got 1.5",
    ),
    parameters(
        "negative weight decay",
        "{weight_decay: -1e-4}",
        "parameters.weight_decay: must be at least 0, got -0.0001",
    ),
    parameters(
        "an unknown data set names the nearest",
        "{dataset: digit}",
        "parameters.dataset: must be 'fashion_mnist' or 'digits', got 'digit'",
        "did you mean 'digits'?",
    ),
    parameters(
        "an unknown optimizer names the nearest",
        "{optimizer: adma}",
        "parameters.optimizer: must be 'adam', 'adamw' or 'sgd', got 'adma'",
        "did you mean 'adam'?",
    ),
    parameters(
        "an empty axis",
        "{lr: []}",
        "parameters.lr: a grid axis needs at least one value, got []",
    ),
    parameters(
        "a value twice in an axis",
        "{lr: [0.1, 0.2, 0.1]}",
        "parameters.lr: a grid axis needs distinct values, got 0.1 twice",
    ),
    parameters(
        "equal values in an axis",
        "{lr: [1, 1.0]}",
        "parameters.lr: a grid axis needs distinct values, got 1.0 twice",
    ),
    parameters(
        "bounds the wrong way round",
        "{lr: {uniform: [1, 0.1]}}",
        "parameters.lr: uniform needs low < high in [low, high], got [1, 0.1]",
    ),
    parameters(
        "a logarithm of zero",
        "{lr: {log_uniform: [0, 1]}}",
        "parameters.lr: log_uniform needs low > 0 in [low, high], got [0, 1]",
    ),
    parameters(
        "an unknown distribution names the nearest",
        "{lr: {loguniform: [1e-3, 1]}}",
        f"parameters.lr: a distribution must be {DISTRIBUTIONS}; got 'loguniform';",
        "did you mean 'log_uniform'?",
    ),
    parameters(
        "three bounds",
        "{lr: {uniform: [1, 2, 3]}}",
        "parameters.lr: uniform needs two finite numbers [low, high], got [1, 2, 3]",
    ),
    parameters(
        "a fraction as a bound of whole numbers",
        "{batch_size: {int_uniform: [8, 16.5]}}",
        "parameters.batch_size: int_uniform needs two finite whole numbers [low, high], got [8, 16",
    ),
    parameters(
        "two distributions for one parameter",
        "{lr: {uniform: [1, 2], choice: [1]}}",
        f"parameters.lr: a distribution has exactly one key: {DISTRIBUTIONS}; got {{'unif",
    ),
    parameters(
        "a choice of nothing",
        "{lr: {choice: []}}",
        "parameters.lr: choice needs at least one value, got []",
    ),
    parameters(
        "a choice that is no list",
        "{lr: {choice: 3}}",
        "parameters.lr: choice needs a list of values, got 3",
    ),
]

OVERRIDES = [
    override(
        "an override without a value",
        "seeds",
        "seeds: an override must be key=value, such as seeds=3 or parameters.lr=0.1",
    ),
    override("an override without a key", "=3", "=3: an override must be key=value"),
    override(
        "an override with an empty part", "parameters.=3", "parameters.=3: an override must be"
    ),
    override(
        "an override that is no YAML",
        "seeds=[1",
        "seeds: '[1' cannot be read as YAML: line 1, column 3: while parsing a flow sequence",
    ),
    override(
        "an override inside a value that has no keys",
        "name.x=1",
        "name.x: name must be a mapping to have the key 'x', got 'mine'",
    ),
    override(
        "a parameter without its prefix",
        "lr=0.1",
        "lr: unknown key; did you mean 'parameters.lr'?",
    ),
    override(
        "a misspelt parameter without its prefix names the nearest",
        "batchsize=32",
        "batchsize: unknown key; did you mean 'parameters.batch_size'?",
    ),
    override(
        "a key that is nearly a key and may be a parameter",
        "seed=3",
        "seed: unknown key; did you mean 'seeds' or 'parameters.seed'?",
    ),
    override(
        "an unknown key of resources in an override names the nearest",
        "resources.cpus=2",
        "resources.cpus: unknown key; did you mean 'cpu'?",
    ),
    override(
        "bad overrides and bad values are told together",
        "lr=0.1 nothing seeds=0 parameters.x.normal=[0,1]",
        "lr: unknown key",
        "nothing: an override must be key=value",
        "seeds: must be at least 1, got 0",
        "parameters.x: a distribution must be",
    ),
    case(
        "an override of parameters that are no mapping",
        "lr: unknown key; did you mean 'parameters.lr'?",
        "parameters: must be a mapping, got 3",
        file=sweep(parameters="3"),
        command="plan sweep.yaml lr=1",
    ),
]

MODULES = [
    case(
        "a function without its module",
        "train: must be 'module:function', such as trainer:train; got 'trainer.train'",
        file=sweep(train="trainer.train"),
    ),
    case(
        "a path for a module",
        "train: must be 'module:function', such as trainer:train; got './my.py:train'",
        file=sweep(train="./my.py:train"),
    ),
    case(
        "a module that does not exist",
        "train: no module 'nowhere' for 'nowhere:train'; it must be installed, or lie in the",
        "current directory (",
        file=sweep(train="nowhere:train"),
    ),
    case(
        "a misspelt module in the current directory names the nearest",
        "train: no module 'bad_netwrok' for 'bad_netwrok:train'",
        "did you mean 'bad_network'?",
        file=sweep(train="bad_netwrok:train"),
        files={"bad_network.py": "def train(config): ...\n"},
    ),
    case(
        "a function that does not exist names the nearest",
        "train: module 'trainer' has no 'trian'; did you mean 'train'?",
        file=sweep(train="trainer:trian"),
    ),
    case(
        "a function that is like no other lists those there are",
        "train: module 'trainer' has no 'fit'; valid are check, ",
        file=sweep(train="trainer:fit"),
    ),
    case(
        "a value that is no function",
        "train: trainer:METRICS must be a function, got a value of type tuple",
        file=sweep(train="trainer:METRICS"),
    ),
    module(
        "a function that takes no configuration",
        "bad_signature",
        "def train(): ...\n",
        "train: bad_signature:train must be callable as train(config)",
        "too many positional arguments",
    ),
    module(
        "a function that takes more than a configuration",
        "bad_arguments",
        "def train(config, device, *, report): ...\n",
        "missing a required argument: 'device'",
    ),
    module(
        "a module that raises when it is imported",
        "bad_raises",
        "import json\n\njson.loads('no')\n",
        "train: importing 'bad_raises' failed in ",
        "/bad_raises.py, line 3: JSONDecodeError: Expecting value",
    ),
    module(
        "a module that imports what is not installed",
        "bad_imports",
        "import numpy\nimport torhc\n",
        "/bad_imports.py, line 2: ModuleNotFoundError: No module named 'torhc'",
    ),
    module(
        "a module with a syntax error",
        "bad_syntax",
        "x = 1\ndef train(:\n",
        "/bad_syntax.py, line 2: SyntaxError: ",
    ),
    module(
        "a module that exits when it is imported",
        "bad_exit",
        "import sys\nsys.exit()\n",
        "/bad_exit.py, line 2: SystemExit",
    ),
    module(
        "a module's own check of a configuration",
        "bad_check",
        "def train(config): ...\ndef check(config): raise ValueError('lr must be odd')\n",
        "parameters: lr must be odd",
    ),
    module(
        "a check that fails by itself",
        "bad_checker",
        "def train(config): ...\ndef check(config): config['rate']\n",
        "parameters: bad_checker.check failed in ",
        "/bad_checker.py, line 2: KeyError: 'rate'",
    ),
    module(
        "a preparation that fails by itself",
        "bad_prepare",
        "def train(config): ...\ndef prepare(configs): open('data.csv')\n",
        "bad_prepare.prepare failed in ",
        "/bad_prepare.py, line 2: FileNotFoundError: [Errno 2] No such file or directory",
    ),
]

DIRECTORIES = [
    case(
        "a directory that is a file",
        "taken cannot be written (",
        "/taken: Not a directory); choose another directory with --dir",
        command="run sweep.yaml --dir taken",
        files={"taken": "by a file"},
    ),
    case(
        "a directory below a file",
        "taken/sweep cannot be written (",
        "/taken: Not a directory)",
        command="run sweep.yaml --dir taken/sweep",
        files={"taken": "by a file"},
    ),
    case(
        "a directory where not even root can write",
        "/proc/sweep cannot be written (/",
        "choose another directory with --dir",
        command="run sweep.yaml --dir /proc/sweep",
    ),
    case(
        "a directory whose name is too long",
        "cannot be read: File name too long",
        command=f"run sweep.yaml --dir {'x' * 300}",
    ),
    case(
        "a directory that belongs to another sweep",
        "old belongs to the sweep 'other', not 'mine'; choose another directory with --dir",
        command="run sweep.yaml --dir old",
        files={"old/sweep.json": record(name="other"), "old/trials/a/trial.json": "{}"},
    ),
    case(
        "a directory that is not empty",
        "old is not empty and holds no sweep; choose another directory with --dir",
        command="run sweep.yaml --dir old",
        files={"old/notes.txt": "mine"},
    ),
    case(
        "a directory whose record is no JSON",
        "old/sweep.json is damaged (not JSON: Expecting",
        "and no trials are beside it; delete it, or choose another directory with --dir",
        command="run sweep.yaml --dir old",
        files={"old/sweep.json": record()[:-5]},
    ),
    case(
        "a directory whose record is of something else",
        "old/sweep.json is damaged (not the record of a sweep)",
        command="run sweep.yaml --dir old",
        files={"old/sweep.json": record(trials=[{}])},
    ),
    case(
        "a directory of a newer format",
        "old/sweep.json must have format 1, got 2; use the version of Sweepboard that wrote it",
        command="run sweep.yaml --dir old",
        files={"old/sweep.json": record(format=2)},
    ),
]

CLUSTERS = [
    case(
        "a cluster that does not answer",
        "cannot connect to Ray at 127.0.0.1:1: Connection refused; start one with",
        "`ray start --head`, or leave --address out to run on this machine",
        command="run sweep.yaml --address 127.0.0.1:1",
    ),
    case(
        "a cluster's address without a port",
        "--address must be auto or HOST:PORT, got 'head'",
        command="run sweep.yaml --address head",
    ),
    case(
        "a web page for a cluster's address",
        "--address must be auto or HOST:PORT, got 'http://127.0.0.1:8265'",
        command="run sweep.yaml --address http://127.0.0.1:8265",
    ),
    case(
        "a port that cannot be",
        "--address must be auto or HOST:PORT, got '127.0.0.1:99999'",
        command="run sweep.yaml --address 127.0.0.1:99999",
    ),
]

READING = [
    case(
        "the status of a folder that does not exist",
        "runs/none holds no sweep: there is no runs/none/sweep.json;",
        command="status runs/none",
    ),
    case(
        "results of a folder that holds no sweep",
        "folder holds no sweep: there is no folder/sweep.json; give a directory of `sweeps run`",
        command="results folder",
        files={"folder/notes.txt": "mine"},
    ),
    case(
        "a board on a file",
        "sweep.yaml holds no sweep: there is no sweep.yaml/sweep.json;",
        command="board sweep.yaml",
    ),
    case(
        "the status of a misspelt sweep names the nearest",
        "runs/mien holds no sweep: there is no runs/mien/sweep.json; did you mean 'runs/mine'?",
        command="status runs/mien",
        setup=finished,
    ),
    case(
        "the name of a sweep for its directory names the directory",
        "mine holds no sweep: there is no mine/sweep.json; did you mean 'runs/mine'?",
        command="board mine",
        setup=finished,
    ),
    case(
        "the status of a damaged record",
        "old/sweep.json is damaged (not a JSON object); run the sweep again: it is written anew,",
        command="status old",
        files={"old/sweep.json": "[]"},
    ),
    case(
        "results sorted by an unknown metric name the nearest",
        "no trial reported 'loss/tset'; did you mean 'loss/test'?",
        command="results runs/mine --sort loss/tset",
        setup=finished,
    ),
    case(
        "results into a folder that does not exist",
        "--output none/results.csv cannot be written: No such file or directory;",
        "name a file in a folder that exists",
        command="results runs/mine --format csv --output none/results.csv",
        setup=finished,
    ),
]

CASES = [
    *FILES,
    *KEYS,
    *PARAMETERS,
    *OVERRIDES,
    *MODULES,
    *DIRECTORIES,
    *CLUSTERS,
    *READING,
]

FOR_REAL = {
    "every problem of a file is told at once with its dotted path",
    "each bad value of a grid is named",
    "a module that exits when it is imported",
    "a directory where not even root can write",
    "a cluster that does not answer",
    "results sorted by an unknown metric name the nearest",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory, whose modules are forgotten; starting Ray is an error."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr("sweeps.cluster.local_ray", lambda node: pytest.fail("Ray was started"))
    known = set(sys.modules)
    yield here
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(here)):
            del sys.modules[name]


def lay_out(case: Case, folder: Path) -> dict[str, bytes | None]:
    for name, text in case.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    case.setup(folder)
    return snapshot(folder)


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """All that lies in a folder: files with their content, folders with none."""
    paths = folder.rglob("*")
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in paths}


def check_message(stderr: str, says: tuple[str, ...]) -> None:
    assert stderr.startswith("error: ")
    assert stderr.count("error: ") == 1
    assert "Traceback" not in stderr
    for part in says:
        assert part in stderr


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused_with_one_clear_message(case: Case, folder: Path) -> None:
    before = lay_out(case, folder)
    result = CliRunner().invoke(app, shlex.split(case.command))
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2
    check_message(result.stderr, case.says)
    assert result.stdout == ""
    assert snapshot(folder) == before


@pytest.mark.parametrize("case", [row for row in CASES if row.id in FOR_REAL])
def test_the_command_refuses_it_too_without_importing_ray_or_torch(
    case: Case, tmp_path: Path
) -> None:
    before = lay_out(case, tmp_path)
    settings = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPROFILEIMPORTTIME": "1"}
    done = run_command(*shlex.split(case.command), cwd=tmp_path, **settings)
    assert (done.returncode, done.stdout) == (2, "")
    told = done.stderr.splitlines()
    imports = {line.rpartition("|")[2].strip() for line in told if line.startswith("import time:")}
    assert "sweeps.cli" in imports
    assert not imports & {"ray", "torch"}
    message = [line for line in told if not line.startswith("import time:")]
    check_message("\n".join(message), case.says)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("command", "says"),
    [
        pytest.param("run sweep.yaml --trials 3", "--trials", id="an unknown option"),
        pytest.param("run sweep.yaml --cpus 0", "--cpus", id="no processor"),
        pytest.param("plan sweep.yaml --gpus -1", "--gpus", id="a negative number of GPUs"),
        pytest.param("results runs/mine --format xml", "xml", id="an unknown format"),
        pytest.param("board runs/mine --port 99999", "--port", id="a port that cannot be"),
        pytest.param("run", "FILE", id="no file"),
        pytest.param("rnu sweep.yaml", "rnu", id="an unknown command"),
    ],
)
def test_a_wrong_option_is_named_with_the_way_to_the_help(
    command: str, says: str, folder: Path
) -> None:
    (folder / "sweep.yaml").write_text(sweep())
    finished(folder)
    before = snapshot(folder)
    result = CliRunner().invoke(app, shlex.split(command))
    assert result.exit_code == 2
    assert says in result.stderr
    assert "--help" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert snapshot(folder) == before


RAW = Path("FashionMNIST/raw")
FASHION = sweep(parameters="{dataset: fashion_mnist}")


def test_missing_data_that_cannot_be_fetched_are_told_with_every_way_out(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWEEPS_DATA", str(tmp_path / "data"))
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    before = lay_out(Case("", (), {"sweep.yaml": FASHION}, nothing), folder)
    result = CliRunner().invoke(app, ["run", "sweep.yaml"])
    assert result.exit_code == 2
    says = [f"error: Fashion-MNIST is not in {tmp_path / 'data' / RAW} and could not be put there"]
    says += ["Connection refused", "Put these files there, packed (.gz) or unpacked:"]
    says += [f"{part}-idx{n}-ubyte.gz\n" for part, n in (("train-images", 3), ("t10k-labels", 1))]
    says += ["data_dir=", "SWEEPS_DATA", "dataset=digits, which needs no files"]
    check_message(result.stderr, tuple(says))
    assert snapshot(folder) == before


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        pytest.param(
            "train-images-idx3-ubyte",
            lambda content: content[: len(content) // 2],
            "must be 47,040,016 bytes, is 23,520,008",
            id="half a file",
        ),
        pytest.param(
            "t10k-labels-idx1-ubyte",
            lambda content: content[:99] + bytes([content[99] ^ 1]) + content[100:],
            "has the right size but other bytes than the official file (SHA-256)",
            id="a bit that is wrong",
        ),
        pytest.param(
            "train-labels-idx1-ubyte",
            lambda content: content[:-10],
            "must be 60,008 bytes, is 59,998",
            id="fewer labels than images",
        ),
    ],
)
def test_damaged_data_are_named_with_what_to_do(
    name: str,
    change: Callable[[bytes], bytes],
    says: str,
    folder: Path,
    fashion_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = tmp_path / "data" / RAW
    raw.mkdir(parents=True)
    for file in (fashion_data / RAW).glob("*-ubyte"):
        (raw / file.name).symlink_to(file)
    (raw / name).unlink()
    (raw / name).write_bytes(change((fashion_data / RAW / name).read_bytes()))
    monkeypatch.setenv("SWEEPS_DATA", str(tmp_path / "data"))
    before = lay_out(Case("", (), {"sweep.yaml": FASHION}, nothing), folder)
    result = CliRunner().invoke(app, ["run", "sweep.yaml"])
    assert result.exit_code == 2
    what_to_do = "delete what is damaged and run again: it is unpacked or downloaded anew"
    check_message(result.stderr, ("Fashion-MNIST is damaged:", f"{raw / name}: {says}", what_to_do))
    assert snapshot(folder) == before


def test_a_module_in_the_current_directory_is_found(folder: Path) -> None:
    (folder / "good_module.py").write_text("def train(config, *, report): ...\n")
    (folder / "sweep.yaml").write_text(sweep(train="good_module:train", metric="loss"))
    result = CliRunner().invoke(app, ["plan", "sweep.yaml"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "1 trial: 1 new" in result.stdout


def test_a_number_with_an_exponent_is_a_number_in_files_and_overrides(folder: Path) -> None:
    (folder / "sweep.yaml").write_text(sweep(parameters="{lr: [1e-3, 1E2], dataset: digits}"))
    given = Sweep.from_yaml("sweep.yaml", ["parameters.weight_decay=1e-4"])
    assert [trial.config["lr"] for trial in given.trials] == [0.001, 100.0]
    assert {trial.config["weight_decay"] for trial in given.trials} == {0.0001}


def test_what_a_damaged_record_says_to_do_loses_nothing(folder: Path) -> None:
    (folder / "sweep.yaml").write_text(sweep())
    finished(folder)
    (folder / "runs/mine/sweep.json").unlink()
    result = CliRunner().invoke(app, ["plan", "sweep.yaml"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "1 trial: 1 finished" in result.stdout
