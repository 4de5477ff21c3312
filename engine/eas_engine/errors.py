"""What can go wrong, and what the world is told about it.

Two trees, split by who is told:

* ``Refusal``: a request that gets an answer made by the engine. Each class knows its HTTP status, its stable
  code (the ``X-EAS-Error`` header), whether trying again may help (``X-EAS-Retryable``) and whether the
  connection closes behind the answer. ``gateway/reply.py`` is the only place that turns them into bytes.
* ``StartError``: the engine can't serve. Each class knows the exit status of the command line.
"""

from __future__ import annotations

from typing import ClassVar


class Refusal(Exception):
    """A request answered by the engine itself instead of the processor."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False
    closes: ClassVar[bool] = False
    text: ClassVar[str] = "internal error"

    def __init__(self, text: str = "") -> None:
        super().__init__(text or self.text)
        self.usual = not text and self.formulaic

    formulaic: ClassVar[bool] = True
    """Whether the whole answer follows from the class, when no text of its own was given."""


class BadRequest(Refusal):
    """Bad framing, a bad head, or a body that can't be read."""

    status, code, text, closes = 400, "bad_request", "malformed request", True


class ProcessorRaised(Refusal):
    """The processor raised; the text is the exception's message (contract: 400)."""

    status, code, text = 400, "processor_exception", "the processor raised an exception"


class Unauthorized(Refusal):
    """The token is missing or wrong."""

    status, code, text = 401, "unauthorized", "missing or invalid token"


class Forbidden(Refusal):
    """The caller's address isn't allowed (``networking.disable_internet_endpoint``)."""

    status, code, text = 403, "forbidden", "this address may not call the service"


class NotFound(Refusal):
    """No such service or path."""

    status, code, text = 404, "not_found", "no such service"


class MethodNotAllowed(Refusal):
    """The method isn't GET, HEAD or POST."""

    status, code, text, formulaic = 405, "method_not_allowed", "method not allowed", False


class DeadlineExceeded(Refusal):
    """``rpc.keepalive`` is over, counted from the request's first byte."""

    status, code, text = 408, "deadline_exceeded", "the request took longer than rpc.keepalive"
    retryable, closes = True, True


class LengthRequired(Refusal):
    """A body without a length (HTTP/1.0 or a coding other than chunked)."""

    status, code, text, closes = 411, "length_required", "a Content-Length or chunked body is required", True


class BodyTooLarge(Refusal):
    """Over ``rpc.max_body_size``."""

    status, code, text, closes = 413, "body_too_large", "the body is larger than rpc.max_body_size", True


class RateLimited(Refusal):
    """Over ``rpc.rate_limit``."""

    status, code, text, retryable = 429, "rate_limited", "rpc.rate_limit is exceeded", True
    formulaic = False

    def __init__(self, text: str = "", *, retry_after: float = 1.0) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class HeadTooLarge(Refusal):
    """The request's head is larger than 64 KiB, or has more than 256 fields."""

    status, code, text, closes = 431, "head_too_large", "the request's header fields are too large", True


class QueueFull(Refusal):
    """Over ``rpc.max_queue_size``; the caller should go to another instance."""

    status, code, text = 450, "queue_full", "the request queue is full"
    retryable, closes = True, True


class InstanceCrashed(Refusal):
    """The instance died while the processor had this request."""

    status, code, retryable = 500, "instance_crashed", True
    text = "the instance crashed while it had this request"


class NotReady(Refusal):
    """No instance is or will be ready in time; the text is what the cloud's gateway says."""

    status, code, text, retryable = 503, "no_instance", "no healthy upstream", True


class Draining(Refusal):
    """The engine is shutting down."""

    status, code, text = 503, "draining", "the service is shutting down"
    retryable, closes = True, True


class StartError(Exception):
    """The engine can't start; the message is for a person and says what to do."""

    exit_status: ClassVar[int] = 1


class ConfigurationError(StartError):
    """service.json, a flag or an environment variable is wrong."""

    exit_status = 2


class ArtifactError(StartError):
    """A model or processor could not be had."""

    exit_status = 3


class ProcessorError(StartError):
    """The processor failed to initialise."""

    exit_status = 4
