"""One training run from the command line, without a cluster.

usage: python -m trainer [key=value ...] [--log-dir DIR]

TensorBoard's events and the checkpoints go to DIR, by default a new folder under
runs/trainer/. Keys, with their defaults:
"""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trainer import prepare, print_metrics, train
from trainer.config import TrainConfig
from trainer.sources import DataError


def main(arguments: Sequence[str]) -> int:
    """Run; the exit status: 0 trained, 2 bad input, 130 interrupted."""
    if {"-h", "--help"} & set(arguments):
        print(usage())
        return 0
    try:
        values, folder = parse(arguments)
        settings = TrainConfig.model_validate_strings(values)
        config = settings.model_dump(include={*values, "seed"})
        prepare([config])  # so that data out of reach leave no trace in the log folder
        label = ",".join(f"{key}={value}" for key, value in values.items()) or "defaults"
        label = label.replace("/", "_")  # data_dir is a path
        default = Path("runs/trainer") / f"{time.strftime('%Y%m%d-%H%M%S')}-{label}"[:200]
        folder = folder or default
        folder.mkdir(parents=True, exist_ok=True)
    except ValidationError as error:
        lines = [f"  {p['loc'][0]}: {p['msg']}; got {p['input']!r}" for p in error.errors()]
        print("error: not a valid configuration:", *lines, sep="\n", file=sys.stderr)
        return 2
    except (ValueError, OSError, DataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return train_here(config, settings.epochs, folder)


def train_here(config: Mapping[str, Any], epochs: int, log_dir: Path) -> int:
    """Train with a line of progress per epoch."""
    done = 0

    def report(metrics: Mapping[str, Any], *, checkpoint: Path | None = None) -> None:
        nonlocal done
        done += 1
        print(f"epoch {done}/{epochs}", end="   ")
        print_metrics(metrics)

    try:
        train(config, report=report, log_dir=log_dir)
    except KeyboardInterrupt:
        print(f"interrupted after {done} of {epochs} epochs; see {log_dir}", file=sys.stderr)
        return 130
    except Exception:
        from trainer.tensorboard import mark_failed

        mark_failed(log_dir)
        raise
    print(f"\nsee it with: tensorboard --logdir {log_dir}")
    return 0


def parse(arguments: Sequence[str]) -> tuple[dict[str, str], Path | None]:
    """Split the arguments into key=value pairs and the log folder."""
    values: dict[str, str] = {}
    folder = None
    rest = iter(arguments)
    for argument in rest:
        key, equals, value = argument.partition("=")
        if key == "--log-dir":
            value = value if equals else next(rest, "")
            if not value:
                raise ValueError("--log-dir needs a folder")
            folder = Path(value)
            if folder.exists() and not folder.is_dir():
                raise ValueError(f"--log-dir needs a folder, and {folder} is a file")
        elif not equals or not key:
            raise ValueError(f"arguments must be key=value, got {argument!r}; see --help")
        else:
            values[key] = value
    return values, folder


def usage() -> str:
    """The help text, made from the fields of TrainConfig."""
    fields = TrainConfig.model_fields.items()
    rows = [f"  {f'{name}={field.default}':<24} {field.description}" for name, field in fields]
    return (__doc__ or "") + "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
