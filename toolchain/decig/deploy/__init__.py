"""From a model to the file that is deployed: slice, export, verify, check."""
