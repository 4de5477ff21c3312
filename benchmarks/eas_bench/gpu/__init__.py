"""``eas-bench gpu-check``: what needs a card, and what is asked of it there.

* ``bars`` (pure): the bars, and verdicts on what was measured. ``scenarios``: G1 to G3 and their bodies.
* ``networks``: their architectures, in torch. ``export``, ``loop``, ``card``: processes that have torch and
  the card: a model's file, the same model called in a loop without a server, and the preset's parts that only
  a card can show.
* ``served``: the same models behind the engine. ``session``: everything in turn, each check for itself.
* ``page``: the table on the terminal and in the documentation.

Nothing here imports torch but the three processes, so a machine without it is told so.
"""
