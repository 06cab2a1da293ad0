"""A W&B sweep file in the form meant here."""

import re
from collections.abc import Mapping
from typing import Any

from sweeps.definition.habits import flow, from_wandb

_METHODS = {"bayes": "tpe", "grid": None, "random": None}
_DROPPED = ("command", "project", "entity", "description", "controller")


class Converted:
    """What became of a file.

    Attributes:
        definition: a sweep file as a mapping, in the order in which it is to be written.
        notes: what has no form here, or is to be looked at, one line each.
    """

    def __init__(self, data: Mapping[str, Any], name: str) -> None:
        self.notes: list[str] = []
        self._method = str(data.get("method", "grid"))
        metric = data.get("metric")
        metric = metric if isinstance(metric, Mapping) else {}
        self.definition: dict[str, Any] = {
            "name": re.sub(r"[^A-Za-z0-9._-]+", "-", str(data.get("name", name))).strip("-._")[:64]
            or "mine",
            "train": f"{_module(data.get('program'))}:train",
            "metric": str(metric.get("name", "loss")),
            "mode": "max" if metric.get("goal") == "maximize" else "min",
            "parameters": self._parameters(data.get("parameters", {}), "parameters"),
        }
        self.notes.append(
            "train: the function train(config, *, report) of your script's module; in it, config"
            " stands for wandb.config, and report({...}) for wandb.log({...})"
        )
        if "name" not in metric:
            self.notes.append("metric: the file named none; give the one that says what is best")
        self._search(data)
        self.notes += [f"{key}: has no meaning here" for key in _DROPPED if key in data]

    def _parameters(self, raw: Any, where: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in (raw if isinstance(raw, Mapping) else {}).items():
            path = f"{where}.{name}"
            try:
                if isinstance(value, Mapping) and "parameters" in value:
                    found[str(name)] = self._parameters(value["parameters"], path)
                else:
                    given = value if isinstance(value, Mapping) else {}
                    found[str(name)] = self._parameter(given, path)
            except ValueError as error:
                self.notes.append(f"{path}: left out: {error}")
        return found

    def _parameter(self, given: Mapping[str, Any], path: str) -> Any:
        ours = from_wandb(given)
        if "values" not in given:
            return ours
        if self._method == "random":  # it draws from a list
            return {"choice": ours} if isinstance(ours, list) else ours
        if self._method == "bayes" and isinstance(ours, dict):
            self.notes.append(f"{path}: without probabilities: a sampler finds out by itself")
            return ours["choice"]
        return ours

    def _search(self, data: Mapping[str, Any]) -> None:
        method, cap = self._method, data.get("run_cap")
        search: dict[str, Any] = {}
        if sampler := _METHODS.get(method):
            search = {"sampler": sampler, "trials": cap or 50}
        elif method == "random":
            self.definition["samples"] = cap or 20
        elif cap:
            self.definition["stop_after"] = {"trials": cap}
        if (early := data.get("early_terminate")) is not None:
            given = early if isinstance(early, Mapping) else {}
            halving = {"factor": given.get("eta", 3)}
            halving |= {"first": given["min_iter"]} if "min_iter" in given else {}
            search["halving"] = halving
            self.notes.append(
                "search.halving: parameters needs the whole budget of a trial, such as epochs: 27"
            )
        if search:
            self.definition["search"] = search

    @property
    def text(self) -> str:
        """The sweep file."""
        lines = [f"# {note}" for note in self.notes]
        for key, value in self.definition.items():
            if key == "parameters":
                lines += ["parameters:", *_block(value, "  ")]
            else:
                lines.append(f"{key}: {flow(value)}")
        return "\n".join(lines) + "\n"


def is_wandb(data: Any) -> bool:
    """Whether a mapping looks like a W&B sweep file."""
    return (
        isinstance(data, Mapping)
        and "parameters" in data
        and "train" not in data
        and bool({"method", "program", "early_terminate"} & data.keys())
    )


def _block(parameters: Mapping[str, Any], indent: str) -> list[str]:
    lines: list[str] = []
    for name, value in parameters.items():
        is_group = isinstance(value, Mapping) and not {
            "choice",
            "uniform",
            "log_uniform",
            "int_uniform",
        } & set(value)
        if is_group:
            lines += [f"{indent}{flow(name)}:", *_block(value, indent + "  ")]
        else:
            lines.append(f"{indent}{flow(name)}: {flow(value)}")
    return lines or [f"{indent}{{}}"]


def _module(program: Any) -> str:
    name = re.sub(r"\W", "_", str(program or "mine").rpartition("/")[2].removesuffix(".py"))
    return name if name and not name[0].isdigit() else f"_{name}"
