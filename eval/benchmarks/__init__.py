"""Benchmarks of the indexes: speed at equal accuracy, build and exact search, against peers."""
