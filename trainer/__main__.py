"""One training run from the command line, without a cluster.

usage: python -m trainer [MODULE:TASK] [key=value ...] [--log-dir DIR]

TASK is a trainer.Task in a module of yours, by default the shipped one. TensorBoard's events and
the checkpoints go to DIR, by default a new folder under runs/trainer/. Keys, with their defaults:
"""

import difflib
import importlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trainer import Task, print_metrics
from trainer import train as shipped
from trainer.config import Settings
from trainer.sources import DataError


def main(arguments: Sequence[str]) -> int:
    """Run; the exit status: 0 trained, 2 bad input, 130 interrupted."""
    config: dict[str, Any] = {}
    try:
        asked = parse(arguments)
        task = find_task(asked.task) if asked.task else shipped
        if asked.help:
            print(usage(task))
            return 0
        config = read_values(task, asked.values)
        task.check(config)
        task.prepare([config])  # so that data out of reach leave no trace in the log folder
        label = ",".join(f"{key}={value}" for key, value in asked.values.items()) or "defaults"
        label = label.replace("/", "_")  # data_dir is a path
        default = Path("runs/trainer") / f"{time.strftime('%Y%m%d-%H%M%S')}-{label}"[:200]
        folder = asked.folder or default
        folder.mkdir(parents=True, exist_ok=True)
    except ValidationError as error:
        print(
            "error: not a valid configuration:",
            *told(error, task, config),
            sep="\n",
            file=sys.stderr,
        )
        return 2
    except (ValueError, OSError, DataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return train_here(task, config, folder)


def told(error: ValidationError, task: Task, config: Mapping[str, Any]) -> list[str]:
    """A line for each finding; an unknown parameter with the nearest that there is."""
    valid = list(task.config.model_fields)
    with suppress(Exception):  # the task's functions may not get so far
        valid = task.keys(config)
    lines = []
    for finding in error.errors():
        name, message = str(finding["loc"][0]), finding["msg"]
        if finding["type"] == "extra_forbidden":
            near = difflib.get_close_matches(name, valid, n=1)
            message = "no such parameter" + (f"; did you mean {near[0]!r}?" if near else "")
        lines.append(f"  {name}: {message}; got {finding['input']!r}")
    return lines


def train_here(task: Task, config: Mapping[str, Any], log_dir: Path) -> int:
    """Train with a line of progress per epoch."""
    done, epochs = 0, task.setup(config).settings.epochs

    def report(metrics: Mapping[str, Any], *, checkpoint: Path | None = None) -> None:
        nonlocal done
        done += 1
        print(f"epoch {done}/{epochs}", end="   ")
        print_metrics(metrics)

    try:
        task(config, report=report, log_dir=log_dir)
    except KeyboardInterrupt:
        print(f"interrupted after {done} of {epochs} epochs; see {log_dir}", file=sys.stderr)
        return 130
    except Exception:
        from trainer.tensorboard import mark_failed

        mark_failed(log_dir)
        raise
    print(f"\nsee it with: tensorboard --logdir {log_dir}")
    return 0


@dataclass
class Asked:
    """What the command line says."""

    task: str | None = None
    values: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None
    help: bool = False


def parse(arguments: Sequence[str]) -> Asked:
    """Read the arguments; raises ``ValueError`` for one that has no meaning."""
    asked = Asked()
    rest = iter(arguments)
    for argument in rest:
        key, equals, value = argument.partition("=")
        if argument in ("-h", "--help"):
            asked.help = True
        elif key == "--log-dir":
            value = value if equals else next(rest, "")
            if not value:
                raise ValueError("--log-dir needs a folder")
            asked.folder = Path(value)
            if asked.folder.exists() and not asked.folder.is_dir():
                raise ValueError(f"--log-dir needs a folder, and {asked.folder} is a file")
        elif ":" in argument and not equals and asked.task is None:
            asked.task = argument
        elif not equals or not key:
            raise ValueError(f"arguments must be key=value, got {argument!r}; see --help")
        else:
            asked.values[key] = value
    return asked


def find_task(path: str) -> Task:
    """The task of a name ``module:task``.

    Raises:
        ValueError: there is none of this name.
    """
    module_name, _, name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # something that the module itself imports
        raise ValueError(
            f"there is no module {module_name!r}; it must be installed, or lie in {Path.cwd()}"
        ) from None
    task = getattr(module, name, None)
    if not isinstance(task, Task):
        tasks = [key for key, value in vars(module).items() if isinstance(value, Task)]
        raise ValueError(
            f"{path} must be a trainer.Task; the module has {', '.join(tasks) or 'none'}"
        )
    return task


def read_values(task: Task, values: Mapping[str, str]) -> dict[str, Any]:
    """Text as the types of the task's parameters; those it does not declare, as JSON or text."""
    declared = {k: v for k, v in values.items() if k in task.config.model_fields}
    if task.config is not Settings:
        declared = dict(values)  # so that an unknown one is refused
    settings = task.config.model_validate_strings(declared)
    config = settings.model_dump(include={*declared, "seed"})
    return config | {k: _plain(v) for k, v in values.items() if k not in declared}


def _plain(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def usage(task: Task) -> str:
    """The help text, made from the task's parameters."""
    fields = task.config.model_fields.items()
    rows = [f"  {f'{name}={field.default}':<24} {field.description}" for name, field in fields]
    return (__doc__ or "") + "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
