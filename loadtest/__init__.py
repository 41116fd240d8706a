"""Load tests and benchmarks of a running service; `loadtest/README.md` holds what they found."""
