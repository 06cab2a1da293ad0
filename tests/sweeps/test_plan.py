"""What a run does: a pure function of the wanted trials and the records."""

from sweeps.ledger import Record, Status
from sweeps.plan import Plan, decide
from sweeps.space import Trial


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
    assert str(Plan(new=tuple(trials[:1]))) == "1 trial: 1 new"
