"""What is said of a trial whose Ray worker is gone: a sentence, and Ray's words for its log."""

from ray.exceptions import OutOfMemoryError, RayActorError

from sweeps.driver.ray_callback import explain


def wrapped(error: Exception) -> RuntimeError:
    """As Ray Tune hands over what it did not expect."""
    outer = RuntimeError(f"Caught unexpected exception: {error}")
    outer.__cause__ = error
    return outer


def test_the_memory_monitor_is_named_also_where_ray_tune_did_not_expect_it() -> None:
    killed = OutOfMemoryError("1 worker(s) were killed due to the node running low on memory")
    for error in (killed, wrapped(killed)):
        failure = explain(error)
        assert failure.summary == "Ray ended it, since its machine was running out of memory"
        assert "running low on memory" in failure.trace and failure.lost


def test_a_worker_that_is_gone_is_told_of_without_rays_words() -> None:
    failure = explain(RayActorError())
    assert failure.summary == "its Ray worker was killed, or its node was lost"


def test_a_worker_that_was_ended_as_it_started_is_told_of_by_what_ray_has_written() -> None:
    failure = explain(None, "Failure # 1\nTask was killed due to the node running low on memory.\n")
    assert failure.summary.startswith("Ray ended its worker as it started")
    assert "running low on memory" in failure.trace and failure.lost
