"""One run, on the driver: what Ray Tune is asked for, and the account of what it brings about."""
