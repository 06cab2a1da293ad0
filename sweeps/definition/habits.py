"""What people write who come from W&B, Ray Tune, Hydra or Optuna, and the form meant here."""

import math
import re
from collections.abc import Mapping
from typing import Any

from sweeps.errors import shown

KEYS = {
    "method": "search: {sampler: tpe} suggests what to try next; a list in parameters is a grid,"
    " and samples: N draws at random",
    "program": "name the training function instead: train: module:function",
    "command": "name the training function instead: train: module:function",
    "early_terminate": "search: halving stops what does badly early",
    "run_cap": "stop_after: {trials: N}",
    "goal": "mode: max or mode: min",
    "num_samples": "samples: N",
    "n_trials": "search: {sampler: tpe, trials: N}",
    "scheduler": "search: halving stops what does badly early",
    "search_alg": "search: {sampler: tpe} suggests what to try next",
    "searcher": "search: {sampler: tpe} suggests what to try next",
    "sampler": "search: {sampler: tpe}",
    "pruner": "search: halving stops what does badly early",
    "early_stopping": "search: halving stops what does badly early",
    "time_budget": "stop_after: {hours: N}",
    "time_budget_s": "stop_after: {hours: N}",
    "max_concurrent_trials": "each trial gets its share of the machine: resources: {cpu: N}",
    "resources_per_trial": "resources: {cpu: N, gpu: N}",
    "param_space": "parameters: {…}",
    "config": "parameters: {…}",
    "hydra": "parameters: {…}, with search: {sampler: tpe} for a sampler",
    "defaults": "one file holds all; command-line overrides change single values",
}
"""Top-level keys of other tools, and what is written here in their place."""

_TUNE = {
    "uniform": "uniform",
    "loguniform": "log_uniform",
    "randint": "int_uniform",
    "lograndint": "int_log_uniform",
    "quniform": "uniform",
    "qloguniform": "log_uniform",
    "qrandint": "int_uniform",
    "interval": "uniform",
    "range": "int_uniform",
}
_CALL = re.compile(r"\s*(?:ray\.)?(?:tune\.)?(\w+)\((.*)\)\s*", re.DOTALL)
_WANDB = {"values", "value", "min", "max", "distribution", "probabilities", "mu", "sigma", "q"}
_OPTUNA = {"low", "high", "log", "step", "type"}
_WANDB_ALONE = ("categorical", "constant", "normal", "log_normal", "inv_log_uniform", "beta")
_HYDRA_ALONE = ("glob", "sort", "tag", "shuffle")
_NOT_HERE = ("normal", "randn", "beta", "gamma", "sample_from", "glob", "sort", "tag", "shuffle")


def form_meant(value: Any) -> str | None:
    """What to say of a parameter that is written as another tool has it, if it is."""
    if isinstance(value, str):
        return _call_meant(value)
    if not isinstance(value, Mapping) or not value:
        return None
    keys = set(value)
    if keys == {"grid_search"}:
        return f"a grid is the list itself here: {flow(value['grid_search'])}"
    if (keys <= _WANDB and keys & {"values", "value", "distribution"}) or {
        "min",
        "max",
    } <= keys <= (_WANDB | {"log", "type"}):
        return _wandb_meant(value)
    if {"low", "high"} <= keys <= _OPTUNA:
        whole = all(type(value[key]) is int for key in ("low", "high"))
        kind = ("int_" if whole else "") + ("log_" if value.get("log") else "") + "uniform"
        return f"a range is written {flow({kind: [value['low'], value['high']]})} here"
    if len(keys) == 1 and (name := str(next(iter(keys)))).removeprefix("q_") in _NOT_HERE:
        return (
            "a distribution must be uniform, log_uniform, int_uniform, int_log_uniform or choice;"
            f" got {name!r}; give the range to search in its place"
        )
    return None


def from_wandb(value: Mapping[str, Any]) -> Any:
    """A parameter of a W&B sweep file in the form meant here.

    Raises:
        ValueError: it has no such form, with the reason.
    """
    if "values" in value:
        weights = value.get("probabilities")
        return {"choice": value["values"], "weights": weights} if weights else value["values"]
    if "value" in value:
        constant = value["value"]
        return [constant] if _holds_list(constant) else constant  # a list alone would be an axis
    named = str(value.get("distribution", ""))
    kind = named.removeprefix("q_")
    if kind.startswith(_WANDB_ALONE):
        raise ValueError(f"{kind} has no form here; give the range to search in its place")
    if "min" not in value or "max" not in value:
        raise ValueError("a range needs min and max")
    low, high = value["min"], value["max"]
    if kind == "log_uniform":  # W&B gives the exponents of this one
        low, high = math.exp(low), math.exp(high)
    step = value.get("q", 1 if named.startswith("q_") and high - low >= 1 else None)
    whole = all(type(one) is int for one in (low, high, 1 if step is None else step))
    counted = kind == "int_uniform" or (whole and (kind == "" or step is not None))
    ours = "log_uniform" if kind.startswith("log_uniform") else "uniform"
    ours = "int_uniform" if counted and ours == "uniform" else ours
    needless = step is None or (ours == "int_uniform" and step == 1)
    return {ours: [low, high]} | ({} if needless else {"step": step})


def _holds_list(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_holds_list(one) for one in value.values())
    return isinstance(value, list)


def flow(value: Any) -> str:
    """A value as YAML has it, on one line."""
    import yaml

    text = yaml.safe_dump(value, default_flow_style=True, width=math.inf, sort_keys=False).strip()
    return text.removesuffix("...").rstrip()


def _wandb_meant(value: Mapping[str, Any]) -> str:
    try:
        ours = from_wandb(value)
    except ValueError as error:
        return f"{shown(dict(value))} is another tool's form: {error}"
    what = "a list is a grid axis" if isinstance(ours, list) else "here it is written"
    return f"{shown(dict(value))} is another tool's form; {what}: {flow(ours)}"


def _call_meant(text: str) -> str | None:
    """What ``tune.loguniform(1e-4, 1e-1)`` or Hydra's ``choice(a, b)`` is here."""
    found = _CALL.fullmatch(text)
    if not found:
        return None
    name, inside = found[1], found[2].strip()
    if name in ("grid_search", "choice"):
        values = inside.removeprefix("[").removesuffix("]")
        form = f"[{values}]" if name == "grid_search" else f"[{values}] or {{choice: [{values}]}}"
        return f"{shown(text)} is text here; write {form}"
    if name in _HYDRA_ALONE:
        return f"{shown(text)} is text here, and has no other form; write the values as a list"
    if name in _TUNE:
        parts = [part.strip() for part in inside.split(",")]
        step = f", step: {parts[2]}" if name.startswith("q") and len(parts) > 2 else ""
        return (
            f"{shown(text)} is text here; write {{{_TUNE[name]}: [{', '.join(parts[:2])}]{step}}}"
        )
    return None
