"""What is found and checked before anything starts, cheapest first.

Whatever can be wrong with a service (its file, its port, its artifacts) is wrong here, before a process is
started or a client is let in.
"""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eas_engine.artifacts.fetching.progress import LogProgress, Progress, TerminalProgress
from eas_engine.artifacts.resolve import Places
from eas_engine.beginning import Beginning
from eas_engine.configuration import Configured, configured, look_around, read
from eas_engine.gateway.access import AccessLog
from eas_engine.gateway.listen import check_descriptors, listen
from eas_engine.history import History
from eas_engine.spec.engine import load as engine_settings
from eas_engine.spec.load import read_text
from eas_engine.state import StateDirectory, default_root
from eas_engine.supervisor.sdk import held_sdk_directory
from eas_engine.telemetry.logs import wants_bars

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

    from eas_engine.options import ServeOptions
    from eas_engine.state import Token
    from eas_engine.telemetry.logs import Logs


@dataclass(frozen=True)
class Parts:
    """What was found and checked before anything starts.

    ``held``: what the artifacts of versions hold, to be let go at the end; that of ``first`` is in it.
    """

    options: ServeOptions
    first: Configured
    state: StateDirectory
    history: History
    token: Token | None
    listener: socket.socket
    sdk: Path
    descriptors: int
    access: AccessLog | None
    held: contextlib.ExitStack

    @property
    def root(self) -> Path:
        """Of the state directories."""
        return root_of(self.options)

    @property
    def url(self) -> str:
        """Where predictions are asked for, reachable from this machine."""
        return f"http://{reachable(self.options.host)}:{self.port}/api/predict/{self.first.loaded.spec.name}"

    @property
    def port(self) -> int:
        """The port that 8080 became."""
        return int(self.listener.getsockname()[1])


@contextlib.contextmanager
def prepare(options: ServeOptions, logs: Logs, descriptors: int) -> Iterator[Parts]:
    """Everything that can fail before a process is started, cheapest first."""
    root = root_of(options)
    machine = engine_settings.here(options.settings, root, os.environ)
    if machine.settings.source:
        logs.log.info("engine settings", file=machine.settings.source)
    text = read_text(options.config)
    asked = read(text, options.config, options.overrides, strict=options.strict, machine=machine)
    service = asked.loaded.spec
    logs.describe(service.name, service.metadata.workspace_id, service.labels)
    with (
        StateDirectory.acquire(root, service.name, service.metadata.workspace_id) as state,
        contextlib.ExitStack() as held,
    ):
        history = History.open(state.path / "history")
        beginning = Beginning(options, text, asked, history, logs)
        places = Places(root, state.path, options.any_path, options.cache_size, keep=history.files_wanted)
        begun = beginning.first(places)
        checked = begun.checked
        service = checked.loaded.spec
        for problem in checked.warnings:
            logs.log.warning(problem.message, parameter=problem.path, line=problem.line)
        check_descriptors(descriptors, service.start_count)
        serving = look_around(checked, begun.files)
        if serving:
            logs.log.info(serving, processor=service.processor)
        token = state.token(service.token, generate=service.generate_token)
        if token is not None:  # else `checked.warnings` has told that the service is open
            logs.hide(token.text)
        _listen(options).close()  # a taken port is found before anything is fetched; nobody is kept waiting
        made = held.enter_context(
            configured(
                checked,
                begun.kept.version.number,
                places=places,
                clock=logs.clock,
                progress=_progress(options, logs),
                files=begun.files,
            )
        )
        first = beginning.made(begun, made)
        with (
            contextlib.closing(_listen(options)) as listener,
            held_sdk_directory(root) as sdk,
            _access_log(options, logs, token) as access,
        ):
            yield Parts(options, first, state, history, token, listener, sdk, descriptors, access, held)


def root_of(options: ServeOptions) -> Path:
    """The root of the state directories."""
    return (options.state_dir or default_root()).absolute()


def _access_log(
    options: ServeOptions, logs: Logs, token: Token | None
) -> contextlib.AbstractContextManager[AccessLog | None]:
    if not options.access_log:
        return contextlib.nullcontext()
    return AccessLog(options.access_log, logs.clock, token.text if token else "")


def _progress(options: ServeOptions, logs: Logs) -> Progress:
    """Bars where somebody looks at a terminal, else lines in the log."""
    if options.log_format == "console" and wants_bars(sys.stderr):
        return TerminalProgress()
    return LogProgress(logs.clock, logs.log.info, logs.log.warning)


def _listen(options: ServeOptions) -> socket.socket:
    """As ``listen``; who started a script by hand (``any_path``) has no flag, but its code and EAS_PORT."""
    instead = 'EAS_PORT, or with endpoint="127.0.0.1:8081" in the code' if options.any_path else ""
    return listen(options.host, options.port, instead=instead)


def reachable(host: str) -> str:
    """An address by which this machine reaches a listener on `host`."""
    if host in ("", "0.0.0.0"):
        return "127.0.0.1"
    return "[::1]" if host == "::" else f"[{host}]" if ":" in host else host
