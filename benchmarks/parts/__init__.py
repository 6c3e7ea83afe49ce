"""Parts of benchmarks that run as processes of their own."""
