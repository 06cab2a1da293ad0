"""Directories that are not on this machine: mirrored, leased to one run, read like local ones."""
