"""A function that talks: a progress bar, logging, warnings, and a great deal of print.

    sweeps run sweep.yaml
    sweeps logs runs/noisy ID

All of it is in the trial's `output.log`, and nothing of it on the screen.
"""

import logging
import subprocess
import time
import warnings

from tqdm import tqdm

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")


def train(config, *, report):
    for epoch in range(config["epochs"]):
        for _ in tqdm(range(50), desc=f"epoch {epoch + 1}"):
            time.sleep(0.0002)
        logging.info("epoch %d is over", epoch + 1)
        warnings.warn("the learning rate is high", stacklevel=1)
        print("weights:", list(range(2000)))
        subprocess.run(["echo", "and a program that it calls"], check=True)
        report({"loss": config["lr"] / (epoch + 1)})
    print("x" * 100_000)
