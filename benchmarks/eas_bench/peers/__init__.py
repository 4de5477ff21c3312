"""Other model servers at the same work, in turns with ours and with the bare loop.

A scenario starts the bare loop, the engine and a group of peers, each one's first answer is compared with
what it must be, and then they take turns: a round is one run of each, and gives one ratio of ours to each of
the others. All processes of all servers are bound to one core, the load to another.

* ``work`` (pure): what is asked. ``record``: what is kept, after every scenario, so that a sitting that was
  interrupted goes on.
* ``peer``: what is known of a peer. ``catalogue``, ``starting``: the peers, and how each is started.
* ``environments``: their installations. ``processes``, ``sides``: servers as processes. ``sitting``: the
  rounds. ``course``: all of it.
* ``bars`` (pure), ``page``: verdicts; the table and the plot in docs/performance.md.
"""
