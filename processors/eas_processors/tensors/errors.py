"""What a client did wrong; base.py answers 400 with the message."""

from __future__ import annotations


class BadRequest(ValueError):
    """The request can't be served as it is: a body that can't be read, an input that doesn't fit the model.

    The message is what the client reads: it names the input, what was sent and what is wanted.
    """
