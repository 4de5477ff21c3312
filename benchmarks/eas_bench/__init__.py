"""``eas-bench``: what a server holds, found out from outside.

* ``schedule``, ``target``, ``client``: when what is sent to whom, and the processes that do it: they make a
  ``record.Run``.
* ``latency``, ``record``: what a run leaves behind. ``readings``: what was read off the server meanwhile.
* ``terminal``, ``report``: a run shown. ``compare``, ``sweep``, ``slo``: runs judged.
* ``soak``, ``chaos``: hours, and torment, with every answer checked.
* ``machine``, ``places``, ``servers``, ``watch``: where it runs, what lies beside it in a checkout, engines
  as processes.
* ``scenarios``: the scenarios of this project, and its bars; ``plots``: as pictures. ``peers``: the same for
  other servers.
* ``cli``: the commands.
"""
