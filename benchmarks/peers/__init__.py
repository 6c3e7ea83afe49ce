"""What an engineer does without decig: the same network slimmer, by hand and by Torch-Pruning."""
