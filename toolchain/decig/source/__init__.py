"""What the MODEL argument of a command stands for: files, recipes, runs, PyTorch code."""
