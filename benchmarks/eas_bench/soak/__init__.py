"""Hours in one go (``eas-bench soak``, ``make soak HOURS=1``).

* ``steady``, ``growth``: one load on somebody's server, and whether its processes grow.
* ``run``, ``deeds``: the life of a service on an engine of ours: updates good and bad, canaries, scaling,
  kills; every answer is checked.
"""
