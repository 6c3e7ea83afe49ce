"""What the MODEL argument of a command means: recipes, PyTorch code, run folders, stamped files."""
