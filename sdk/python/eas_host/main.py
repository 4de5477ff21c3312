"""The life of a host: hello, load, ready, stop.

The main thread does everything in the order of this file, and waits in ``Host.live`` while worker threads
serve. A script (see ``entry``) gets there by itself, through ``allspark``'s ``run()``; for a module the
host goes there.

Exit status: 0 after ``stopped``, 1 after ``failed``; what a script says by ``sys.exit`` once it has served.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any, Callable, Dict, FrozenSet, Optional, Sequence

import allspark
import eas_sdk
from eas_host import batches, dump, environment, load, mounts, warm_up, worker
from eas_host.adapters import Handle
from eas_host.adapters.python import Allspark, Native
from eas_host.control import Control, Stopped
from eas_host.gpu_faults import Faults, sees_cards, share_of
from eas_sdk import _runtime

if TYPE_CHECKING:
    from eas_host.adapters import Adapter

_SOFTWARE = 70  # sysexits.h

Serve = Callable[[Handle, Dict[str, Any], int], Any]
"""``eas_host.worker.serve``: handle, channel, threads -> an object with ``stop()`` and ``join()``."""


def main(
    arguments: Sequence[str],
    bare: FrozenSet[str] = frozenset(),
    serve: Serve = worker.serve,
    joined: Optional[str] = None,
) -> int:
    """Runs a host to its end and returns its exit status.

    Args:
        arguments: ``--control FD --lifeline FD``, descriptors of the two sockets, and ``--mounts FD``.
        bare: the modules that Python had imported before the host began.
        serve: what answers requests.
        joined: what ``groups.join`` said.
    """
    fd = int(arguments[arguments.index("--control") + 1])
    lifeline = int(arguments[arguments.index("--lifeline") + 1])
    mounted = mounts.by_arguments(arguments)  # before there is a thread, or a descriptor of anything
    environment.adopt()
    dump.arm()
    environment.arm(lifeline)
    control = Control(fd)
    control.watch()
    try:
        start = control.wait("start")
    except Stopped:
        control.finish("stopped")
        return 0
    host = Host(control, start, serve, mounted if joined is None else {**mounted, "group": joined})
    _runtime.install(host)
    try:
        load.attempt("entry", lambda: _enter(start, bare))
        return host.run()
    except load.Failed as failed:
        host.report(failed)
        return 1


class Host:
    """One processor between ``start`` and its end. It is also the runtime that ``allspark`` finds."""

    def __init__(
        self,
        control: Control,
        start: Dict[str, Any],
        serve: Serve,
        limits: Optional[Dict[str, str]] = None,
    ) -> None:
        """``limits``: by the names of its mounts, and ``group``, why they aren't there; empty: they are."""
        self._limits = dict(limits or {})
        self._control = control
        self._start = start
        self._serve = serve
        self._ran = False
        self._failed = False

    @property
    def model_path(self) -> str:
        """Absolute path of the unpacked model, ``""`` without one."""
        return str(self._start["model_path"])

    def run(self) -> int:
        """Loads the entry and serves; the exit status. ``Failed`` when it can't."""
        path, wanted = self._start["entry"], self._start["entry_class"]
        if self._start["processor_type"] != "python":
            status = self.live(load.attempt("construct", lambda: _foreign(self._start)))
        else:
            status = self._run_python(path, wanted)
        if not self._failed:
            self._control.finish("stopped")
        return status

    def _run_python(self, path: str, wanted: Optional[str]) -> int:
        """Serves with a processor written in Python; its exit status."""
        return self._run_script(path) if load.is_script(path, wanted) else self._run_class(path, wanted)

    def report(self, failed: load.Failed) -> None:
        """Tells the engine that there will be no service."""
        self._failed = True
        sys.stderr.write(failed.trace)
        cause = failed.__cause__
        passing = cause is not None and sees_cards(os.environ) and eas_sdk.is_gpu_trouble(cause)
        self._control.finish(
            "failed", stage=failed.stage, message=failed.message, traceback=failed.trace, passing=passing
        )

    def live(self, adapter: Adapter) -> int:
        """Hello, load, initialize, ready, stop, close. Returns when it is over: 0, or 1 if ``close`` raised.

        ``Failed`` when the processor's ``initialize`` raises, or its warm-up fails.
        """
        control = self._control
        why = self._limits.pop("workspace", None)
        control.send(
            "hello",
            pid=os.getpid(),
            python=".".join(map(str, sys.version_info[:3])),
            kind=adapter.kind,
            threads=adapter.threads,
            processes=adapter.processes,
            batch=adapter.batch,
            warnings=adapter.warnings,
            properties=adapter.properties(),
            mounts=None if why is None else {"visible": not why, "reason": why},
            limits=self._limits,
        )
        dump_threads = getattr(adapter, "dump_threads", None)
        control.on("dump", lambda: self._dump(dump_threads))
        rebatch = getattr(adapter, "rebatch", None)
        if rebatch is not None:
            control.follow("batching", lambda told: rebatch(told["batching"]))
        try:
            told = control.wait("load")
        except Stopped:
            return 0
        threads, keepalive_ms = told["threads"], told["keepalive_ms"]
        faults = self._watch_gpu(adapter)
        load.attempt("initialize", adapter.initialize)
        if not control.stopping():
            together = self._start.get("batching")  # the engine looked at hello.batch
            handle = batches.Batches(adapter.handle_batch()) if together else adapter.handle()
            self._warm_up(handle, keepalive_ms, dump_threads)
            server = self._serve(handle, self._start["channel"], threads)
            if faults is not None:
                server.watch_gpu(faults)
            self._show_arena(adapter, server)
            control.send("ready", properties=adapter.properties())
            control.wait_stop()
            server.stop()
            server.join()
        return _closed(adapter)

    def _warm_up(self, handle: Handle, keepalive_ms: int, dump_threads: Optional[Callable[[], str]]) -> None:
        """Sends what ``warm_up_data_path`` holds; ``Failed`` when an answer isn't as it should be."""
        path = self._start["warm_up"]
        if path:
            plan = warm_up.Plan(path, self._start["warm_up_count"], keepalive_ms, self._start["service"])
            control = self._control
            warm_up.run(
                plan,
                handle,
                begin=lambda seconds: control.send("warming", seconds=seconds),
                stopping=control.stopping,
                dump_threads=dump_threads,
            )

    def _watch_gpu(self, adapter: Adapter) -> Optional[Faults]:
        """Looks at what the processor raises from now on; None where no card is to be seen."""
        if not sees_cards(os.environ):
            return None
        faults = Faults(
            lambda why: self._control.finish("fault", message=why),
            lambda: os._exit(_SOFTWARE),
            share=share_of(os.environ),
        )
        watch = getattr(adapter, "watch", None)
        if watch is not None:
            watch(faults.in_part)
        self._control.follow("check_gpu", lambda told: _apart(lambda: faults.check(told["why"])))
        return faults

    def _show_arena(self, adapter: Adapter, server: Any) -> None:
        """A processor that may read bodies by other ways than the processor's is told where they lie."""
        show = getattr(adapter, "arena", None)
        told = self._start["channel"].get("requests") or {}
        if show is not None and told.get("fixed"):
            load.attempt("initialize", lambda: show(server.bodies, told["fixed"]))

    def _dump(self, dump_threads: Optional[Callable[[], str]]) -> None:
        """What the engine asks for when a call is stuck; the signal has shown Python's threads already."""
        dump.more(dump_threads)
        self._control.send("dumped")

    # -- the two kinds of entry

    def _run_class(self, path: str, wanted: Optional[str]) -> int:
        """Makes an object of the entry's class, and serves with it."""
        processor = load.attempt("construct", load.load_class(path, wanted))
        return self.live(load.attempt("construct", lambda: self._adapter(processor)))

    def _adapter(self, processor: object) -> Adapter:
        if isinstance(processor, eas_sdk.Processor):
            return Native(processor, self._start)
        if isinstance(processor, allspark.BaseProcessor):
            return Allspark(processor, self._start)
        raise TypeError(f"making the processor gave {processor!r:.80}")

    def _run_script(self, path: str) -> int:
        """Executes the entry, which comes to ``serve_script`` by itself; its exit status."""
        status = 0
        try:
            load.run_script(path)
        except SystemExit as leaving:
            if not self._ran:
                raise load.failure(load.stage_of(leaving), leaving) from leaving
            status = _exit_status(leaving)
        except BaseException as error:
            if not self._ran:
                raise load.failure(load.stage_of(error), error) from error
            traceback.print_exc()
            status = 1
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()  # a script isn't over before them, and one of them may be in run()
        if not self._ran:
            raise load.Failed(
                "entry", f"{os.path.basename(path)} ended without run() of an allspark processor"
            )
        return 1 if self._failed else status

    def serve_script(self, processor: allspark.BaseProcessor) -> None:
        """``processor.run()``: serves until the engine says stop, then lets the script go on.

        A failure is reported here, for the script may catch what is raised; ``SystemExit`` then ends it.
        """
        if self._ran:
            raise RuntimeError("run() was called before: one process serves with one processor, once")
        self._ran = True
        try:
            self.live(load.attempt("construct", lambda: Allspark(processor, self._start)))
        except load.Failed as failed:
            self.report(failed)
            sys.exit(1)


def _enter(start: Dict[str, Any], bare: FrozenSet[str]) -> None:
    """Goes to the processor's directory; its modules are importable only where they are the processor."""
    if start["processor_type"] == "python":
        environment.enter(start["entry"], start["processor_dir"], bare)
    else:
        environment.go(start["processor_dir"])


def _foreign(start: Dict[str, Any]) -> Adapter:
    """The adapter of a preset, or of a processor that isn't written in Python; no other is ever imported."""
    kind = start["processor_type"]
    if kind == "cpp":
        from eas_host.adapters.cpp import Cpp

        return Cpp(start)
    if kind == "java":
        from eas_host.adapters.java import Java

        return Java(start)
    if kind == "preset":
        from eas_host.adapters.preset import preset

        return preset(start)
    raise load.Failed("construct", f"processor_type {kind!r} is none that this host can serve")


def _closed(adapter: Adapter) -> int:
    """Closes the processor; 0, or 1 when that raised."""
    try:
        adapter.close()
    except Exception:  # noqa: BLE001 - a processor's code may raise anything
        traceback.print_exc()
        return 1
    return 0


def _apart(action: Callable[[], None]) -> None:
    """In a thread of its own: it may take long."""
    threading.Thread(target=action, name="check_gpu", daemon=True).start()


def _exit_status(leaving: SystemExit) -> int:
    """The status that Python gives a ``SystemExit``."""
    if leaving.code is None or isinstance(leaving.code, int):
        return leaving.code or 0
    print(leaving.code, file=sys.stderr)
    return 1
