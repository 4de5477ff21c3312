"""The speed of the engine's spine, against the least that could answer the same requests.

``python -m eas_bench.spine`` runs the scenarios of docs/performance.md from a checkout: it needs the
reference servers, the processors and the load client in C beside this package.

What a figure is worth depends on the machine and on who else uses it, so a bar is on a *ratio* wherever it
can be: reference and engine take turns, a few seconds each, and each pair gives one ratio; the median of the
ratios is held against the bar. When the reference itself wavers by more than a factor of 1.5, the figure is
called unreliable.

* ``figures`` (pure): what a run gives, percentiles, ratios. ``bars`` (pure): what is asked, and the verdicts.
* ``load``: the clients.
* ``scenarios``: what is run. ``report``: terminal, JSON, documentation.
"""
