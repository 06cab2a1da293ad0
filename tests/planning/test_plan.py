"""What a run does: a pure function of the wanted trials and the records."""

from dataclasses import replace

import pytest

from sweeps.definition.resolve import Versions
from sweeps.definition.space import Trial
from sweeps.errors import SweepsError
from sweeps.planning.plan import Plan, decide, stale
from sweeps.planning.search import Decision
from sweeps.records.history import Report
from sweeps.records.record import Record, Status


def test_each_trial_is_kept_continued_tried_again_or_new_by_its_status() -> None:
    wanted = [Trial(status, {"seed": 0}, status) for status in [*Status, "unknown"]]
    records = {s: Record(id=s, config={}, path=s, status=s) for s in Status}
    plan = decide(wanted, records)
    assert [t.id for t in plan.keep] == ["finished", "stopped"]
    assert [t.id for t in plan.resume] == ["running", "interrupted"]
    assert [t.id for t in plan.retry] == ["failed"]
    assert [t.id for t in plan.new] == ["pending", "unknown"]
    assert plan.todo == plan.resume + plan.retry + plan.new


def test_records_of_trials_that_are_no_longer_wanted_change_nothing() -> None:
    gone = Record(id="gone", config={}, path="gone", status=Status.FAILED)
    assert decide([], {"gone": gone}) == Plan()


def test_a_plan_reads_as_one_line() -> None:
    trials = [Trial(str(i), {}, str(i)) for i in range(12)]
    plan = Plan(tuple(trials[:7]), tuple(trials[7:8]), tuple(trials[8:9]), tuple(trials[9:]))
    assert str(plan) == "12 trials: 7 finished, 1 continued, 1 tried again, 3 new"
    reached = replace(plan, resume=tuple(trials[7:9]), retry=(), reached={"7": 3, "8": 3})
    assert "2 continued from epoch 3," in str(reached)
    assert "from epochs 3 to 4," in str(replace(reached, reached={"7": 4, "8": 3}))
    assert str(Plan(new=tuple(trials[:1]))) == "1 trial: 1 new"


def test_failed_trials_alone_are_tried_again_on_request() -> None:
    plan = decide(
        [Trial(str(s), {}, str(s)) for s in Status],
        {str(s): Record(id=str(s), config={}, path=str(s), status=s) for s in Status},
    )
    assert str(plan.only(["failed"])) == (
        "6 trials: 1 finished, 1 stopped, 1 tried again, 3 left as they are"
    )
    again = plan.only(["stopped"])  # by its id, which is its status here
    assert [t.id for t in again.retry] == ["stopped"] and not again.stopped
    assert [t.id for t in plan.only(["interrupted"]).todo] == ["interrupted"]
    with pytest.raises(SweepsError, match="got 'fialed'; did you mean 'failed'"):
        plan.only(["fialed"])
    with pytest.raises(SweepsError, match="has not failed"):
        plan.only(["finished"])


def test_what_has_failed_in_this_run_is_not_tried_again_in_it_and_what_is_under_way_is_left() -> (
    None
):
    wanted = [Trial(key, {}, key) for key in "abcd"]
    records = {key: Record(key, {}, key, Status.FAILED) for key in "ab"}
    plan = decide(wanted, records).without_retries({"a", "c"}).beside({"c": None})
    assert [t.id for t in plan.todo] == ["b", "d"]
    assert [t.id for t in plan.under_way] == ["c"]
    assert str(plan) == ("4 trials: 1 tried again, 1 new, 1 under way, 1 left as they are")


@pytest.mark.parametrize(("wanted", "count"), [(3, 0), (5, 0), (8, 1)])
def test_a_finished_trial_goes_on_if_it_is_to_train_longer(wanted: int, count: int) -> None:
    trial = Trial("a", {"epochs": wanted}, "a")
    record = Record("a", trial.config, "a", Status.FINISHED, recorded={"epochs": 5})
    assert len(decide([trial], {"a": record}, "epochs").resume) == count
    assert decide([trial], {"a": record}).keep == (trial,)


def test_what_a_rung_has_stopped_goes_on_once_the_file_asks_for_all() -> None:
    trial = Trial("a", {"epochs": 9}, "a")
    history = [Report(n, {"loss": 1.0}, 1.0, f"{n}.pt") for n in (1, 2, 3)]
    at_rung = Record("a", {}, "a", Status.STOPPED, until=3, history=history, attempts=1)
    decision = Decision((trial,), {"a": 3}, {"a": "rank 9 of 12 at epoch 3"}, {}, True, 2)
    assert decide([trial], {"a": at_rung}, "epochs", decision).keep == (trial,)
    higher = replace(decision, until={"a": 9})
    plan = decide([trial], {"a": at_rung}, "epochs", higher)
    assert plan.resume == (trial,) and plan.paused == {"a"} and plan.reached == {"a": 3}
    assert decide([trial], {"a": at_rung}, "epochs").resume == (trial,)
    cut = replace(at_rung, status=Status.INTERRUPTED)  # after its last report
    assert decide([trial], {"a": cut}, "epochs", decision).keep == (trial,)
    asked = replace(at_rung, until=None)  # by `sweeps stop`, or it diverged
    assert decide([trial], {"a": asked}, "epochs").keep == (trial,)


def test_a_failed_trial_that_was_not_tried_again_yet_is_tried_again() -> None:
    trial = Trial("a", {}, "a")
    record = Record("a", {}, "a", Status.PENDING, attempts=1, error="ValueError: no")
    assert decide([trial], {"a": record}).retry == (trial,)


def test_results_of_other_code_or_data_are_counted() -> None:
    trials = tuple(Trial(key, {}, key) for key in "abc")
    records = {k: Record(k, {}, k, Status.FINISHED, code="1", data=k) for k in "abc"}
    today = {"a": Versions("1", "a"), "b": Versions("2", "b"), "c": Versions("2", "x")}
    code, data = stale(Plan(keep=trials), records, today)
    assert code.startswith("note: 2 of them ran with another version of the training code")
    assert data.startswith("note: 1 of them ran with another version of the data")
    assert stale(Plan(new=trials), records, today) == []
