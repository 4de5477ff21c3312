"""What an instance may use, enforced.

``enforcer`` is what ``launch`` asks for each host; ``lodging`` is one instance's part of it. They use
``groups`` (cgroups, where they can be had), ``affinity``, ``family`` (the memory of a tree of processes),
``scratch`` (directories and what is in them), ``rounds`` (a thread that looks again and again) and
``variables`` (what libraries read of it). ``report`` says what enforces what, and what is used.
"""
