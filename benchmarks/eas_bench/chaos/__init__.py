"""Load while instances die: every request gets one answer, the right one, and the engine stays as it is.

``python -m eas_bench.chaos`` (``make chaos``) kills the longest-lived instance every second under load from
keep-alive clients. It looks at the engine from outside: what each client gets for each request, and the
engine's memory and descriptors as the operating system tells them.
"""
