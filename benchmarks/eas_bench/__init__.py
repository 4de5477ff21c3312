"""The load tester and the benchmark scenarios."""
