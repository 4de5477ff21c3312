"""The processor host: the process in which the engine runs one processor.

The engine execs ``python -m eas_host --control FD`` in the processor's own interpreter. This package and
the SDK need nothing but the standard library of Python 3.8 to 3.13, and nothing of the engine.

Read in this order: ``__main__`` (is this Python new enough?), ``main`` (the life of a host), ``control``
(the conversation with the engine), ``environment`` (what the process looks like to the processor),
``entry`` (what kind of program is it?), ``load`` (bring it to life), ``adapters`` (one call), ``worker``
and ``wire`` (requests).
"""
