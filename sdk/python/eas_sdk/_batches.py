"""Answering a batch, shared by the host and ``eas_sdk.testing``.

``answer_all`` is the rule of blame: one bad request fails alone. If the batch call raises, nobody knows which
request is to blame, so each half is called by itself, and each half of a half that raises, down to single
requests; whoever raises alone has its own failure, and the others have their answers.

The work is bounded. Of a batch of n requests at most 2n - 1 calls are made, and no request is in more than
1 + ceil(log2(n)) of them; a single bad request costs about 2 log2(n) calls. Whoever isn't waited for any more
is left out when a batch is halved, so a batch call that is slow and raises ends, too: with the deadlines.
"""

from __future__ import annotations

import sys
from typing import Callable, List, Sequence, Tuple, TypeVar, Union

from eas_sdk.batching import release
from eas_sdk.processor import Processor
from eas_sdk.request import Request
from eas_sdk.response import Answer, answer

T = TypeVar("T")
R = TypeVar("R")
Ran = Tuple[int, int, int]
"""Calls of the model, rows in them, and how many of these were padding."""
Outcome = Union[Answer, BaseException]
"""Of one request: status, body (``bytes``, or a flat view), header lines; an exception is its failure."""
Call = Callable[[List[Request]], Tuple[List[Outcome], Ran]]
"""Answers requests together: one outcome for each. What it raises is the failure of one that isn't known.

It may change the list that it is given."""

_LONGEST_LINE = 500  # characters of an exception's text
_ENDS = (SystemExit, KeyboardInterrupt)


class GivenUp(Exception):
    """Of a request that nobody waited for any more when its turn came."""


def _nobody(_error: BaseException, _count: int) -> None:
    """The default of ``raised``."""


def answer_all(
    call: Callable[[List[T]], Tuple[List[Union[R, BaseException]], Ran]],
    items: Sequence[T],
    is_over: Callable[[T], bool] = lambda _: False,
    raised: Callable[[BaseException, int], None] = _nobody,
) -> Tuple[List[Union[R, BaseException]], Ran]:
    """What became of each item; and what ``call`` counted, without the calls that raised.

    Args:
        call: as ``Call``: as many results as it got items.
        items: at least one.
        is_over: whether nobody waits for this one any more. Asked when a batch is halved.
        raised: told what a call of several items raised, and how many they were, before they are halved.

    Raises:
        SystemExit, KeyboardInterrupt: from ``call``; they are about the process and no request.
    """
    try:
        return call(list(items))
    except _ENDS:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever a processor raises is somebody's answer
        if len(items) == 1:
            return [error], (0, 0, 0)
        raised(error, len(items))
        _tell(error, len(items))
    return _halved(call, items, is_over, raised)


def _halved(
    call: Callable[[List[T]], Tuple[List[Union[R, BaseException]], Ran]],
    items: Sequence[T],
    is_over: Callable[[T], bool],
    raised: Callable[[BaseException, int], None],
) -> Tuple[List[Union[R, BaseException]], Ran]:
    """As ``answer_all``, of several items that raised together."""
    outcomes: List[Union[R, BaseException]] = [GivenUp("nobody waited for it any more")] * len(items)
    calls = rows = padding = 0
    todo = _halves(range(len(items)))
    while todo:
        part = [at for at in todo.pop() if not is_over(items[at])]
        if not part:
            continue
        try:
            results, ran = call([items[at] for at in part])
        except _ENDS:
            raise
        except BaseException as error:  # noqa: BLE001 - as above
            if len(part) == 1:
                outcomes[part[0]] = error
                release(error)
            else:
                raised(error, len(part))
                todo += _halves(part)
            continue
        for at, result in zip(part, results):
            outcomes[at] = result
        calls, rows, padding = calls + ran[0], rows + ran[1], padding + ran[2]
    return outcomes, (calls, rows, padding)


def _halves(part: Sequence[int]) -> List[Sequence[int]]:
    """The second half and the first, so that the first is on top."""
    middle = (len(part) + 1) // 2
    return [part[middle:], part[:middle]]


def _tell(error: BaseException, count: int) -> None:
    """One line into the log: if both halves succeed there would be none, and the batch called thrice."""
    try:
        said = f"{type(error).__name__}: {error}".split("\n")[0][:_LONGEST_LINE]
        sys.stderr.write(f"a batch of {count} requests raised {said}; its halves are called by themselves\n")
        sys.stderr.flush()
    except Exception:  # noqa: BLE001, S110 - its __str__ is the processor's code, and stderr may be closed
        pass


def batch_call(processor: Processor) -> Call:
    """``process_batch`` of a processor as a ``Call``."""
    process_batch, batching = processor.process_batch, processor.batching

    def call(requests: List[Request]) -> Tuple[List[Outcome], Ran]:
        count = len(requests)
        if batching is not None:
            batching.begin()
        try:
            results = process_batch(requests)
        finally:
            ran = (0, 0, 0) if batching is None else batching.collect()
        return checked(results, count), ran if ran[0] else (1, count, 0)

    return call


def checked(results: object, count: int) -> List[Outcome]:
    """What ``process_batch`` returned, as it is sent.

    A result that can't be sent fails its request alone.

    Raises:
        TypeError: not a list or tuple, or not ``count`` results in it: so nobody knows whose they are.
    """
    if not isinstance(results, (list, tuple)) or len(results) != count:
        told = f"{len(results)} results" if isinstance(results, (list, tuple)) else f"{results!r:.80}"
        raise TypeError(f"process_batch() must return a list of {count} results, not {told}")
    return [(200, result, b"") if type(result) is bytes else _outcome(result) for result in results]


def _outcome(result: object) -> Outcome:
    if isinstance(result, BaseException):
        return result
    try:
        status, body, lines = answer(result)
        return status, body if type(body) is bytes else memoryview(body).cast("B"), lines
    except Exception as error:  # noqa: BLE001 - of no type that can be sent; a view that was released
        return error
