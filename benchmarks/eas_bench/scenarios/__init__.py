"""The scenarios of this project: files under benchmarks/scenarios/, and what measures them.

``eas-bench scenario`` (``make bench``) runs them from a checkout: they need the reference servers, the
processors and the load client in C beside this package.

What a figure is worth depends on the machine and on who else uses it, so a bar is on a *ratio* wherever it
can be: reference and engine take turns, a few seconds each, and each pair gives one ratio; the median of the
ratios is held against the bar. When the reference itself wavers by more than a factor of 1.5, the figure is
called unreliable.

* ``files``: what a scenario file says. ``figures``, ``bars``, ``growth``, ``baseline`` (pure): what runs
  give, what is asked and the verdicts, how a cost grows, what has become worse.
* ``load``, ``costs``: the clients, and the processor time of servers. ``setting``: what every scenario needs.
* ``turns``, ``batching``, ``overload``, ``shapes``, ``crashes``, ``updates``, ``cold``, ``curves``,
  ``loops``: one module a kind of scenario. ``measuring``: any of them by its file.
* ``results``: what is kept. ``report``: terminal and documentation.
"""
