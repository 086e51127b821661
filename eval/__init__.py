"""Test collections, runs, measures and benchmarks: how well a search works, and how fast."""
