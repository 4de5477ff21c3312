"""Answers with the request's own body: what the engine itself costs."""

from __future__ import annotations

import allspark


class Echo(allspark.BaseProcessor):
    """As an EAS processor would be written for the cloud."""

    def process(self, data: bytes) -> tuple[bytes, int]:
        """One request."""
        return data, 200


if __name__ == "__main__":
    Echo(worker_threads=5).run()
