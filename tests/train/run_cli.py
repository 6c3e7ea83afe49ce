"""Runs a decig command as a process of its own: `python -m tests.train.run_cli compress ...`."""

from tests.samples import main

if __name__ == "__main__":
    main()
