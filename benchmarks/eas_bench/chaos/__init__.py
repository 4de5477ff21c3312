"""Torment: instances die, clients leave, lie and dawdle; every request gets one answer, and the right one.

``eas-bench chaos`` (``make chaos``). It looks at the engine from outside: what each client gets for each
request, and the engine's memory and descriptors as the operating system tells them.

* ``clients``: those that behave, and trust nothing. ``rogues``, ``bad_input``: those that don't behave.
* ``victims``: the instances, and who kills them. ``run``: one run of all of it, judged.
"""
