"""`decig compress`: from a trained generator to a slim student, step by step."""
