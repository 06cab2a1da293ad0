"""Checkpoints that two trials hand over from one place."""

from sweeps.driver.sources import Sources


def test_two_that_run_at_the_same_time_are_told_of_each_other() -> None:
    sources = Sources()
    for key in ("a", "b"):
        sources.begin(key)
    assert sources.other("a", "model.pt") is None
    assert sources.other("a", "model.pt") is None
    assert sources.other("b", "other.pt") is None
    assert sources.other("b", "model.pt") == "a"


def test_one_that_had_ended_before_the_other_wrote_is_told_of_if_they_overlapped() -> None:
    sources = Sources()
    for key in ("a", "b"):
        sources.begin(key)
    assert sources.other("a", "model.pt") is None
    sources.end("a")
    assert sources.other("b", "model.pt") == "a"


def test_one_after_the_other_may_use_the_same_place() -> None:
    sources = Sources()
    for key in ("a", "b", "a"):
        sources.begin(key)
        assert sources.other(key, "model.pt") is None
        sources.end(key)
