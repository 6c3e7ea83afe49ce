"""Cost tables: what a model costs at any widths, measured and predicted."""
