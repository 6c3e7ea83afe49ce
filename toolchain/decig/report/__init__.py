"""What is known of a model, put together for JSON and for people."""
