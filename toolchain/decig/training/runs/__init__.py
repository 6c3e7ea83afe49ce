"""The folder of a run: what each step leaves in it, and how the run is repeated."""
