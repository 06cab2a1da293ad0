"""Population based training: what is decided, from the records alone."""

import json
import random
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import pytest

from sweeps.definition.search import Population
from sweeps.definition.space import Space, Trial
from sweeps.definition.sweep_file import SweepFile, examine
from sweeps.planning.course import by_configuration
from sweeps.planning.population import Perturbing, Populating, replaced, rungs_of
from sweeps.planning.search import Decision, Told
from sweeps.records.record import Status
from tests.planning.test_search import BUDGET, World, last

KEYS = Population(every=3)


def file_of(**keys: Any) -> SweepFile:
    base = {"name": "s", "train": "a:b", "metric": "loss", "mode": "min", "search": "population"}
    parameters = {"x": {"uniform": [0.01, 1]}, "epochs": BUDGET}
    file, problems = examine({**base, "parameters": parameters, "samples": 8, "seeds": 2, **keys})
    assert file, problems
    return file


def population(settled: Mapping[str, Told] | None = None, seed: int = 0) -> Populating:
    file = file_of()
    perturb = Perturbing(file.space, ["x"], KEYS.factors)

    def go_on(config: Any, parents: Any, epoch: int) -> tuple[Trial, ...]:
        return tuple(file.space.continued(dict(config), "a:b", lambda _: (), parents, epoch))

    groups = by_configuration(file.trials())
    rungs = rungs_of(KEYS, BUDGET)
    return Populating(groups, rungs, KEYS, last, perturb, go_on, seed, settled)


def step(world: World, decision: Decision, trial: Trial) -> bool:
    """One epoch more; a trial that goes on from another has its reports first."""
    if trial.origin and trial.id not in world.records:
        parent = world.records[trial.origin.parent]
        record = replace(parent, id=trial.id, config=trial.config, status=Status.PENDING)
        history = parent.history[: trial.origin.epoch]
        world.records[trial.id] = replace(record, history=history)
    return world.step(trial, decision.until.get(trial.id))


def run(world: World, *, anew: bool = False, seed: int = 0, shuffle: int = 0) -> Decision:
    """Train until the search is done, in any order; ``anew`` as if it were killed every epoch."""
    generator, searching = random.Random(shuffle), population(seed=seed)  # noqa: S311
    while not (decision := searching.advance(world.look)).done:
        trials = list(decision.trials)
        generator.shuffle(trials)
        steps = (step(world, decision, trial) for trial in trials)
        assert any(steps if anew else list(steps)), "a search that waits for nothing"
        searching = population(decision.told if shuffle % 2 else None, seed) if anew else searching
    return decision


def table(decision: Decision, world: World) -> str:
    rows = [(asdict(t), len(world.records[t.id].history)) for t in decision.trials]
    told = {key: asdict(told) for key, told in decision.told.items()}
    return json.dumps([rows, dict(decision.stopped), told])


def test_the_worst_of_a_rung_go_on_as_changed_copies_of_the_best() -> None:
    world = World()
    decision = run(world)
    assert rungs_of(KEYS, BUDGET) == (3, 6, 9)
    by_id = {trial.id: trial for trial in decision.trials}
    children = [trial for trial in decision.trials if trial.origin]
    assert [t.origin.epoch for t in children if t.origin] == [3] * 4 + [6] * 4  # two, of two seeds
    for child in children:
        assert child.origin
        parent = by_id[child.origin.parent]
        assert parent.seed == child.seed
        ratio = child.config["x"] / parent.config["x"]
        assert child.config["x"] == 0.01 or min(abs(ratio - f) for f in (0.8, 1.25)) < 1e-5
    assert {why.partition(";")[0] for why in decision.stopped.values()} == {
        f"rank {rank} of 8 at epoch {epoch}" for rank in (7, 8) for epoch in (3, 6)
    }
    states = [told.state for told in decision.told.values()]
    assert (states.count("complete"), states.count("stopped")) == (8, 4)


def test_the_parents_are_the_best_at_their_rung() -> None:
    world = World()
    decision = run(world)
    first = by_configuration([t for t in decision.trials if t.origin is None])
    mean = {g[0].id: sum(world.records[t.id].history[2].metrics["loss"] for t in g) for g in first}
    best = sorted(mean, key=mean.__getitem__)
    parents = {t.origin.parent for t in decision.trials if t.origin and t.origin.epoch == 3}
    assert parents & mean.keys() <= set(best[:2])
    stopped = {k for k in mean if "epoch 3" in decision.stopped.get(k, "")}
    assert stopped == set(best[-2:])


@pytest.mark.parametrize("shuffle", range(4))
def test_a_population_killed_at_any_moment_comes_to_the_identical_end(shuffle: int) -> None:
    whole, world = World(), World()
    expected = table(run(whole), whole)
    assert table(run(world, anew=True, shuffle=shuffle), world) == expected


def test_another_sample_seed_is_another_course() -> None:
    one, other = World(), World()
    assert table(run(one), one) != table(run(other, seed=1), other)


def test_a_member_that_fails_is_replaced_and_stays_so_after_it_was_tried_again() -> None:
    first = population().advance(World().look).trials[0]
    world = World(lambda trial: "failed" if trial.id == first.id else None)
    decision = run(world)
    assert decision.told[first.id].state == "failed"
    record = world.records[decision.trials[2].id]
    world.records[first.id] = replace(record, id=first.id, config=first.config)
    again = population(decision.told).advance(world.look)
    assert table(again, world) != "" and again.trials == decision.trials


def test_lists_of_numbers_move_to_a_neighbour_and_other_values_to_any_other() -> None:
    file = file_of(parameters={"n": [8, 2, 4], "act": ["a", "b"], "x": {"uniform": [1, 2]}})
    perturb = Perturbing(file.space, ["n", "act", "x"], [1.25])
    found = [perturb({"n": 2, "act": "a", "x": 1.9}, str(key)) for key in range(9)]
    assert {json.dumps(config) for config in found} == {'{"n": 4, "act": "b", "x": 2}'}


def test_another_beginning_makes_another_trial_of_equal_values() -> None:
    space: Space = file_of().space
    flat = {"x": 0.5, "epochs": BUDGET}
    parents = space.repeated(flat, "a:b")
    begun = space.repeated(flat, "a:b")
    for epoch in (3, 6):
        begun += space.continued(flat, "a:b", lambda _: (), parents, epoch)
    assert len({trial.id for trial in begun}) == 6


def test_at_least_one_and_at_most_half_are_replaced() -> None:
    assert [replaced(n, 0.25) for n in (2, 3, 4, 8, 20)] == [1, 1, 1, 2, 5]
    assert rungs_of(Population(), 20) == (4, 8, 12, 16, 20)
    assert rungs_of(Population(), 1) == (1,)
