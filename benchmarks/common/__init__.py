"""What several benchmarks share. It imports neither their scripts nor `peers`."""
