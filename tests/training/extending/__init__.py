"""A task and a method that are not part of decig: each is one file, and nothing else knows it."""
