"""Computes for a millisecond and answers with the request's own body."""

from __future__ import annotations

from spinning import spin

import allspark


class Spin(allspark.BaseProcessor):
    """One thread: more would only take turns."""

    def process(self, data: bytes) -> tuple[bytes, int]:
        """One request."""
        spin()
        return data, 200


if __name__ == "__main__":
    Spin(worker_threads=1).run()
