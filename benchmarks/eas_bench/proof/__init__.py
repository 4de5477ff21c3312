"""The load tester, tested: against latencies that are known, against wrk, and against its own limit.

``python -m eas_bench.proof`` from a checkout (``make bench-tester``); it needs wrk and two quiet cores.
"""
