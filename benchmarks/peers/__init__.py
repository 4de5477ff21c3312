"""Other model servers at the same work: one folder a server, as its documentation says how.

They run in environments of their own (``requirements/``), with this package and ``processors/mlp`` on
``PYTHONPATH``; which work it is stands in the environment variable ``EAS_BENCH_WORK``. ``eas_bench.peers``
starts, asks and ends them.
"""
