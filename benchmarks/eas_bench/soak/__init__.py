"""Hours of a service's life in one go: updates good and bad, canaries, scaling, kills; answers are checked.

``python -m eas_bench.soak --hours 1``, or ``make soak HOURS=1``.
"""
