"""Sleeps for 10 ms: five threads do 500 requests a second, whatever the machine."""

from __future__ import annotations

import time

import allspark

SECONDS = 0.010


class Sleep(allspark.BaseProcessor):
    """Busy without needing a processor core."""

    def process(self, data: bytes) -> tuple[bytes, int]:
        """One request."""
        time.sleep(SECONDS)
        return data, 200


if __name__ == "__main__":
    Sleep(worker_threads=5).run()
