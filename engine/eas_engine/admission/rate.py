"""``rpc.rate_limit``: a token bucket. Pure arithmetic; the caller brings the time."""

from __future__ import annotations


class TokenBucket:
    """At most `rate` requests a second on average, and at most `burst` at once.

    Guarantee: in any span of t seconds no more than ``burst + rate * t`` requests get a token.
    """

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = burst
        self._at = now

    def __repr__(self) -> str:
        return f"<TokenBucket {self._tokens:.2f} of {self.burst:g}, {self.rate:g}/s>"

    def take(self, now: float) -> float:
        """Take one token: 0.0 when there was one, else the seconds until there is."""
        if now > self._at:
            self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
            self._at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self.rate

    def resize(self, rate: float, burst: float, now: float) -> None:
        """Another rate from now on; tokens that were earned stay, up to the new burst."""
        self._tokens = min(burst, self._tokens + max(0.0, now - self._at) * self.rate)
        self._at = max(self._at, now)
        self.rate, self.burst = rate, burst
