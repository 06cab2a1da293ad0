"""What a report says is to be done next."""

import re
from pathlib import Path
from typing import Any

from sweeps.answer.report import series
from sweeps.answer.report.advice import advice
from sweeps.answer.results import read_results
from sweeps.records.record import Status
from tests.answer.directory import Made, curve, write_sweep


def test_what_to_do_next_follows_from_what_was_found(tmp_path: Path) -> None:
    def told(trials: list[Made], **sweep: Any) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        results = read_results(write_sweep(folder, trials, **sweep))
        return " ".join(advice(results, series.find(results)))

    flat = [0.5, 0.5, 0.5, 0.5]
    one_seed = [Made({"lr": lr}, curve(*flat, 0.9 - lr)) for lr in (0.1, 0.2, 0.3)]
    assert "Noise can't be judged from one seed" in told(one_seed)
    assert "lr=0.1 lies at the low end of what was tried" in told(one_seed)
    noise = [0.0, 0.001, -0.001, 0.0005]
    rising = [
        Made({"lr": lr, "seed": s}, curve(*(0.1 * e - abs(lr - 2) + noise[s] for e in range(9))))
        for lr in (1, 2, 3)
        for s in range(4)
    ]
    assert "still rises by 0.10 an epoch at the end: train longer (18 epochs)" in told(rising)
    assert "lies at" not in told(rising)
    tied = [
        Made({"net": net, "seed": s}, curve(0.9 + 0.01 * ((s * 7 + net) % 3)))
        for net in (1, 2)
        for s in range(3)
    ]
    assert re.search("1 configuration can't be told apart from the best: seeds=", told(tied))
    failed = [Made({}, [], Status.FAILED, "no")]
    assert "1 trial has failed: the reasons are below" in told(failed)
    assert "let a validation metric choose" in told(one_seed, select="best")
