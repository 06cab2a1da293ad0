"""Halving and sampled searches: what is decided, from the records alone."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import pytest

from sweeps.definition.search import Halving, Search
from sweeps.definition.space import Trial
from sweeps.definition.sweep_file import examine
from sweeps.planning.samplers import Sampled
from sweeps.planning.search import Decision, Listed, Searching, Told, rungs_of
from sweeps.records.history import Report
from sweeps.records.record import Record, Status

BUDGET = 9


def last(reports: Sequence[Report]) -> float | None:
    return reports[-1].metrics["loss"] if reports else None


def loss_of(config: Any, epoch: int) -> float:
    """A curve whose order changes between the rungs."""
    return abs(config["x"] - 0.3) + (1 - config["x"]) / epoch + 0.01 * config["seed"]


class World:
    """Records as a run would make them: trains what is decided, step by step."""

    def __init__(self, fails: Callable[[Trial], str | None] = lambda trial: None) -> None:
        self.records: dict[str, Record] = {}
        self.order: list[str] = []
        self.fails = fails

    def look(self, trial: Trial) -> Record | None:
        return self.records.get(trial.id)

    def step(self, trial: Trial, until: int | None) -> bool:
        """Train a trial one epoch further, if it is still to train."""
        record = self.records.get(trial.id, Record(trial.id, trial.config, trial.id))
        if record.id not in self.order:
            self.order.append(record.id)
        if record.status in (Status.FINISHED, Status.FAILED):
            return False
        if record.status is Status.STOPPED and record.until is None:
            return False
        goal = until or BUDGET
        if len(record.history) >= goal:
            return False
        kind = self.fails(trial)
        if kind == "failed" or (kind == "fails later" and record.history):
            self.records[trial.id] = replace(record, status=Status.FAILED)
            return True
        epoch = len(record.history) + 1
        report = Report(epoch, {"loss": loss_of(trial.config, epoch)}, 1.0, f"{epoch}.pt")
        history = [*record.history, report]
        if kind == "diverged" and epoch == 2:
            error = "diverged: loss is nan at epoch 2"
            self.records[trial.id] = replace(
                record, status=Status.STOPPED, until=None, error=error, history=history
            )
            return True
        status = Status.RUNNING if epoch < goal else Status.STOPPED
        status = Status.FINISHED if epoch == BUDGET else status
        self.records[trial.id] = replace(
            record, status=status, until=until, history=history, recorded=trial.config
        )
        return True


def listed(count: int, seeds: int = 1) -> list[tuple[Trial, ...]]:
    return [
        tuple(
            Trial(f"{n:02}{s}", {"x": (n * 7 % count) / count, "seed": s}, f"{n}")
            for s in range(seeds)
        )
        for n in range(count)
    ]


def halving(count: int, seeds: int = 1, settled: Any = None) -> Searching:
    rungs = rungs_of(Halving(), BUDGET)
    return Searching(Listed(listed(count, seeds)), rungs, 3, last, last, settled)


def tpe(settled: Any = None, halved: bool = True) -> Searching:
    parameters = {"x": {"uniform": [0, 1]}, "epochs": BUDGET}
    keys = {"name": "s", "train": "a:b", "metric": "loss", "mode": "min"}
    file, problems = examine({**keys, "parameters": parameters, "search": "tpe", "seeds": 2})
    assert file, problems
    search = Search(sampler="tpe", trials=18, at_once=6)
    proposer = Sampled(file.space, search, lambda f: tuple(file.space.repeated(f, "a:b")))
    rungs = rungs_of(Halving() if halved else None, BUDGET)
    return Searching(proposer, rungs, 3, last, last, settled)


def run(
    make: Callable[[], Searching], world: World, shuffle: int | None = None, *, hurry: bool = False
) -> Decision:
    """Train until the search is done, in any order within a round.

    Args:
        hurry: train one at a time, and decide after each what those may do that go on in any case.
    """
    generator, searching = random.Random(shuffle), make()  # noqa: S311
    while not (decision := searching.advance(world.look)).done:
        now = decision.hurried() if hurry else decision
        trials = list(now.trials)
        if shuffle is not None:
            generator.shuffle(trials)
        progress = (world.step(t, now.until.get(t.id)) for t in trials)
        assert any(progress if hurry else list(progress)), "a search that waits for nothing"
    for trial in decision.trials:  # what is under way as the search is done
        while world.step(trial, decision.until.get(trial.id)):
            pass
    return decision


def table(decision: Decision, world: World) -> str:
    """All that a table shows of the end."""
    rows = {t.id: len(world.records[t.id].history) for t in decision.trials}
    told = {key: asdict(told) for key, told in decision.told.items()}
    return json.dumps([rows, dict(decision.stopped), told])


def test_the_best_third_goes_on_at_each_rung_and_the_others_say_why_not() -> None:
    world = World()
    decision = run(lambda: halving(12), world)
    assert rungs_of(Halving(), BUDGET) == (1, 3, 9)
    epochs = [len(world.records[t.id].history) for t in decision.trials]
    assert sorted(epochs) == [1] * 8 + [3] * 3 + [9]
    firsts = sorted(decision.trials, key=lambda t: loss_of(t.config, 1))
    assert decision.stopped[firsts[8].id] == "rank 9 of 12 at epoch 1"
    assert {t.id for t in firsts[:4]} == {t.id for t in decision.trials} - {
        key for key, why in decision.stopped.items() if "of 12" in why
    }
    thirds = sorted(firsts[:4], key=lambda t: loss_of(t.config, 3))
    assert decision.stopped[thirds[1].id] == "rank 2 of 4 at epoch 3"
    assert decision.told[thirds[0].id].state == "complete"


@pytest.mark.parametrize(
    ("keys", "budget", "rungs"),
    [
        ({}, 9, (1, 3, 9)),
        ({}, 5, (1, 3, 5)),
        ({}, 100, (12, 36, 100)),
        ({}, 1, (1,)),
        ({"factor": 2}, 8, (2, 4, 8)),
        ({"first": 1, "factor": 4}, 20, (1, 4, 16, 20)),
        ({"first": 30}, 20, (20,)),
    ],
)
def test_rungs_are_budgets_up_to_the_whole(
    keys: dict[str, int], budget: int, rungs: tuple[int, ...]
) -> None:
    assert rungs_of(Halving(**keys), budget) == rungs


def test_configurations_are_ranked_by_their_mean_and_no_lucky_seed_wins_a_rung() -> None:
    groups = [tuple(Trial(f"{n}{s}", {"seed": s}, "") for s in range(3)) for n in range(3)]
    values = {"00": 0.1, "01": 9, "02": 9, "10": 3, "11": 3, "12": 3, "20": 5, "21": 5, "22": 5}
    records = {
        key: Record(key, {}, key, Status.STOPPED, until=1, history=[Report(1, {"loss": v}, 1.0)])
        for key, v in values.items()
    }
    decision = Searching(Listed(groups), (1, 9), 3, last, last).advance(
        lambda trial: records.get(trial.id)
    )
    assert decision.stopped == {
        **dict.fromkeys(("00", "01", "02"), "rank 3 of 3 at epoch 1"),
        **dict.fromkeys(("20", "21", "22"), "rank 2 of 3 at epoch 1"),
    }


def test_a_configuration_with_a_seed_that_diverged_goes_no_further() -> None:
    [best] = [k for k, t in run(lambda: halving(12, 2), World()).told.items() if not t.why]
    world = World(lambda trial: "diverged" if trial.id == f"{best[:-1]}1" else None)
    decision = run(lambda: halving(12, 2), world)
    assert decision.told[best].state == "diverged"
    assert [told.state for told in decision.told.values()].count("complete") == 1


def test_ties_are_broken_by_the_order_of_the_file() -> None:
    groups = [(Trial(str(n), {"seed": 0}, ""),) for n in range(6)]
    same = [Report(1, {"loss": 1.0}, 1.0)]
    records = {
        str(n): Record(str(n), {}, "", Status.STOPPED, until=1, history=same) for n in range(6)
    }
    decision = Searching(Listed(groups), (1, 9), 3, last, last).advance(
        lambda trial: records.get(trial.id)
    )
    assert sorted(set("012345") - decision.stopped.keys()) == ["0", "1"]


@pytest.mark.parametrize("make", [lambda s=None: halving(12, 2, s), tpe], ids=["halving", "tpe"])
def test_the_course_is_the_same_whatever_finishes_first(make: Any) -> None:
    world, other = World(), World()
    assert table(run(make, world), world) == table(run(make, other, shuffle=3), other)


@pytest.mark.parametrize("make", [lambda s=None: halving(9, 2, s), tpe], ids=["halving", "tpe"])
@pytest.mark.parametrize("keeps", [True, False], ids=["with what was told", "from records alone"])
def test_a_search_killed_at_any_moment_goes_on_to_the_identical_end(make: Any, keeps: bool) -> None:
    """Decided anew before every single epoch: as if it were killed at each."""
    whole = World()
    expected = table(run(make, whole), whole)
    world = World()
    settled: dict[str, Told] = {}
    generator = random.Random(1)  # noqa: S311
    for _ in range(2000):
        searching = make(settled if keeps else None)
        decision = searching.advance(world.look)
        settled = dict(decision.told)
        if decision.done:
            break
        due = list(decision.trials)
        generator.shuffle(due)
        assert any(world.step(t, decision.until.get(t.id)) for t in due)
        if generator.random() < 0.3:  # what was under way is interrupted
            world.records = {
                k: replace(r, status=Status.INTERRUPTED) if r.status is Status.RUNNING else r
                for k, r in world.records.items()
            }
    assert table(decision, world) == expected


def test_what_was_told_stays_even_if_a_failed_trial_was_tried_again_since() -> None:
    bad: set[str] = set()
    world = World(lambda t: "failed" if t.id in bad else None)
    first = tpe().advance(World().look)
    bad.add(first.trials[2].id)
    before = run(tpe, world)
    assert before.told[first.trials[2].id].state == "failed"
    bad.clear()
    again = world.records[first.trials[2].id]
    history = [Report(n, {"loss": 0.0}, 1.0) for n in range(1, 10)]
    world.records[again.id] = replace(again, status=Status.FINISHED, history=history)
    after = tpe(before.told).advance(world.look)
    assert [t.id for t in after.trials] == [t.id for t in before.trials]
    assert after.done


def test_a_sampler_sees_only_rounds_that_are_complete() -> None:
    world, searching = World(), tpe(halved=False)
    first = searching.advance(world.look)
    assert len(first.trials) == 12 and not first.until
    for trial in first.trials[:-1]:
        while world.step(trial, None):
            pass
    assert searching.advance(world.look).trials == first.trials
    while world.step(first.trials[-1], None):
        pass
    assert len(searching.advance(world.look).trials) == 24


def test_with_a_sampler_the_next_begin_while_the_best_go_on() -> None:
    world, searching = World(), tpe()
    first = searching.advance(world.look)
    for trial in first.trials:
        world.step(trial, first.until[trial.id])
    second = searching.advance(world.look)
    assert len(second.trials) == 24
    budgets = [second.until.get(t.id) for t in second.trials]
    assert budgets.count(3) == 4 and budgets.count(1) == 20


WORLDS = {
    "all well": lambda trial: None,
    "some fail": lambda trial: "failed" if int(trial.id, 36) % 5 == 0 else None,
    "some fail later": lambda trial: "fails later" if int(trial.id, 36) % 2 == 0 else None,
    "some diverge": lambda trial: "diverged" if int(trial.id, 36) % 3 == 0 else None,
}


@pytest.mark.parametrize("fails", WORLDS.values(), ids=WORLDS)
@pytest.mark.parametrize("make", [lambda: halving(12, 2), tpe], ids=["halving", "tpe"])
@pytest.mark.parametrize("shuffle", range(3))
def test_who_does_not_wait_for_the_others_comes_to_the_same_end(
    make: Any, fails: Any, shuffle: int
) -> None:
    waiting, hurrying = World(fails), World(fails)
    expected = table(run(make, waiting), waiting)
    assert table(run(make, hurrying, shuffle, hurry=True), hurrying) == expected
    assert table(make().advance(hurrying.look), hurrying) == expected, "from the records alone"


def test_what_has_failed_may_be_tried_again_and_so_makes_nobody_certain() -> None:
    world, searching = World(), halving(12)
    trials = sorted(searching.advance(world.look).trials, key=lambda t: loss_of(t.config, 1))
    for trial in trials[:-2]:
        world.step(trial, 1)
    assert len(searching.advance(world.look).ahead) == 2  # of 4 places, with 2 under way
    failed = Record(trials[-1].id, trials[-1].config, "", Status.FAILED)
    world.records[failed.id] = failed
    assert len(searching.advance(world.look).ahead) == 2
    again = halving(12, settled={failed.id: Told("failed", None, 1)})
    assert len(again.advance(world.look).ahead) == 3, "it has been told, and stays so"


def test_who_is_certain_to_go_on_does_so_before_the_others_are_there() -> None:
    world, searching = World(), halving(12)
    trials = sorted(searching.advance(world.look).trials, key=lambda t: loss_of(t.config, 1))
    for trial in trials[:8]:  # the best, with 4 places and 4 still under way
        world.step(trial, 1)
    assert not searching.advance(world.look).ahead
    for count, trial in enumerate(trials[8:-1], 1):
        world.step(trial, 1)
        decision = searching.advance(world.look)
        assert decision.ahead == dict.fromkeys([t.id for t in trials[:count]], 3)
        assert decision.round == 0 and decision.hurried().until[trials[0].id] == 3
    world.records[trials[0].id] = replace(
        before := world.records[trials[0].id],
        history=[replace(report, checkpoint=None) for report in before.history],
    )
    assert trials[0].id not in searching.advance(world.look).ahead, "it would train anew"
