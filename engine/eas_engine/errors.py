"""What can go wrong, and what the world is told about it.

Two trees, split by who is told:

* ``Refusal``: a request that gets an answer made by the engine. Each class knows its HTTP status, its stable
  code (the ``X-EAS-Error`` header), whether trying again may help (``X-EAS-Retryable``) and whether the
  connection closes behind the answer. ``gateway/reply.py`` is the only place that turns them into bytes.
* ``StartError``: the engine can't serve. Each class knows the exit status of the command line.
"""

from __future__ import annotations

from collections.abc import Iterator
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


class GpuOutOfMemory(Refusal):
    """The GPU had no memory for this request, not even alone; the text has the figures."""

    status, code, text = 500, "gpu_out_of_memory", "no GPU memory left for this request"


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


class BrokenBody(Refusal):
    """The body can't be inflated with ``rpc.decompressor``."""

    status, code, text = 400, "broken_body", "the body isn't what rpc.decompressor says"


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
    """The instance was ended by a signal while the processor had this request; other deaths are below."""

    status, code, retryable = 500, "instance_crashed", True
    text = "the instance crashed while it had this request"


class InstanceAborted(InstanceCrashed):
    """``abort()``: the processor's code, or a library of it, gave up."""

    code, text = "instance_aborted", "the instance aborted while it had this request"


class InstanceCppException(InstanceCrashed):
    """A C++ exception escaped from the processor (``std::terminate``)."""

    code, text = "instance_cpp_exception", "a C++ exception escaped from the processor and ended the instance"


class InstanceExited(InstanceCrashed):
    """``sys.exit``, ``System.exit``, ``os._exit``, ``exit``: the processor ended its own process."""

    code, text = "instance_exited", "the processor ended its process while it had this request"


class InstanceJvmCrashed(InstanceCrashed):
    """The Java virtual machine died and left an ``hs_err`` file."""

    code, text = "instance_jvm_crashed", "the Java virtual machine crashed while it had this request"


class InstanceOutOfMemory(InstanceCrashed):
    """The instance was ended for want of memory, or because it had more than ``metadata.memory``."""

    code, text = "instance_out_of_memory", "the instance ran out of memory while it had this request"


class InstanceStorageExceeded(InstanceCrashed):
    """The instance wrote more than ``eas.aliyun.com/extra-ephemeral-storage`` allows, and was ended."""

    code, text = "instance_storage_exceeded", "the instance wrote too much while it had this request"


class InstanceGpuMemoryExceeded(InstanceCrashed):
    """The instance had more of its card's memory than ``metadata.gpu_memory``, and was ended."""

    code = "instance_gpu_memory_exceeded"
    text = "the instance took more GPU memory than its share while it had this request"


class InstanceKilled(InstanceCrashed):
    """SIGKILL, and neither the engine nor the kernel's want of memory was it."""

    code, text = "instance_killed", "the instance was killed while it had this request"


class InstanceStuck(InstanceCrashed):
    """A call took longer than ``rpc.stuck_timeout``, and the instance was ended because of it."""

    code, text = "instance_stuck", "a call of the instance never ended (rpc.stuck_timeout)"


class InstanceLinkBroken(InstanceCrashed):
    """The instance closed the connection on which it gets requests, or sent nonsense on it."""

    code, text = "instance_link_broken", "the instance broke its connection to the engine"


class InstanceControlBroken(InstanceCrashed):
    """The instance closed its control socket, or broke the control protocol."""

    code, text = "instance_control_broken", "the instance broke its control connection to the engine"


class GpuFault(InstanceCrashed):
    """An error of CUDA that stays (illegal access, launch failure, ECC), or the card is gone."""

    code, text = "gpu_fault", "the GPU is lost to the instance that had this request"


class InstanceStopped(InstanceCrashed):
    """It was to leave, and the request wasn't done when its time was over."""

    code, text = "instance_stopped", "the instance was stopped before it was done with this request"


class PoisonRequest(Refusal):
    """It was begun when an instance died, tried once more alone, and the instance died again."""

    status, code = 500, "poison_request"
    text = "this request ended two instances, the second one alone in it (rpc.retry_on_crash)"

    @classmethod
    def of(cls, crash: InstanceCrashed) -> PoisonRequest:
        """With what the second instance died of."""
        return cls(f"{cls.text}: {crash}")


class NotReady(Refusal):
    """No instance is or will be ready in time; the text is what the cloud's gateway says."""

    status, code, text, retryable = 503, "no_instance", "no healthy upstream", True


class ServiceStopped(Refusal):
    """An operator stopped or drained the service (``eas-engine stop``, ``drain``); it may come back."""

    status, code, text, retryable = 503, "service_stopped", "the service is stopped", True


class Draining(Refusal):
    """The engine is shutting down."""

    status, code, text = 503, "draining", "the service is shutting down"
    retryable, closes = True, True


def kinds_of(base: type[Refusal]) -> Iterator[type[Refusal]]:
    """``base`` and everything derived from it."""
    yield base
    for kind in base.__subclasses__():
        yield from kinds_of(kind)


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
