"""The training loop: it knows neither images nor losses."""
