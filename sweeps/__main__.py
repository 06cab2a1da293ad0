"""`python -m sweeps`, the same as the command `sweeps`."""

from sweeps.command.cli import main

if __name__ == "__main__":
    main()
