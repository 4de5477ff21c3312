"""Reference servers: the least that could answer the same requests, for the same run on the same machine.

Each is started as ``python -m reference.NAME`` with ``benchmarks/`` as the working directory and prints one
line, ``listening PORT``. They check nothing, limit nothing and time nothing out: a yardstick, not an example.
"""
