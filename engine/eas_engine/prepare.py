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

from eas_engine import spec
from eas_engine.artifacts.fetching.progress import LogProgress, Progress, TerminalProgress
from eas_engine.artifacts.local import look
from eas_engine.artifacts.resolve import Places, provide
from eas_engine.artifacts.workspace import variables
from eas_engine.errors import ProcessorError
from eas_engine.gateway.access import AccessLog
from eas_engine.gateway.listen import check_descriptors, listen
from eas_engine.spec import presets
from eas_engine.spec.engine import load as engine_settings
from eas_engine.state import StateDirectory, default_root
from eas_engine.supervisor.sdk import held_sdk_directory
from eas_engine.telemetry.logs import wants_bars

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

    from eas_engine.artifacts.local import Artifacts
    from eas_engine.options import ServeOptions
    from eas_engine.spec.load import Loaded
    from eas_engine.state import Token
    from eas_engine.telemetry.logs import Logs


@dataclass(frozen=True)
class Parts:
    """What was found and checked before anything starts."""

    options: ServeOptions
    loaded: Loaded
    artifacts: Artifacts
    state: StateDirectory
    token: Token | None
    listener: socket.socket
    sdk: Path
    warnings: tuple[str, ...]
    descriptors: int
    access: AccessLog | None

    @property
    def url(self) -> str:
        """Where predictions are asked for, reachable from this machine."""
        return f"http://{reachable(self.options.host)}:{self.port}/api/predict/{self.loaded.spec.name}"

    @property
    def port(self) -> int:
        """The port that 8080 became."""
        return int(self.listener.getsockname()[1])


@contextlib.contextmanager
def prepare(options: ServeOptions, logs: Logs, descriptors: int) -> Iterator[Parts]:
    """Everything that can fail before a process is started, cheapest first."""
    root = (options.state_dir or default_root()).absolute()
    machine = engine_settings.here(options.settings, root, os.environ)
    if machine.settings.source:
        logs.log.info("engine settings", file=machine.settings.source)
    loaded = spec.load(options.config, overrides=options.overrides, strict=options.strict, machine=machine)
    refusals, later = spec.startable(loaded)
    if refusals:
        raise spec.ConfigurationError(loaded.source, refusals)
    for problem in (*loaded.warnings, *later):
        logs.log.warning(problem.message, parameter=problem.path, line=problem.line)
    service = loaded.spec
    logs.describe(service.name, service.metadata.workspace_id, service.labels)
    check_descriptors(descriptors, service.start_count)
    look(service, loaded.base)
    _look_for_packages(loaded, logs)
    with StateDirectory.acquire(root, service.name, service.metadata.workspace_id) as state:
        token = state.token(service.token, generate=service.generate_token)
        if token is None:
            logs.log.warning(
                "the service is open: whoever reaches the port may call it (generate_token is false)"
            )
        else:
            logs.hide(token.text)
        _listen(options).close()  # a taken port is found before anything is fetched; nobody is kept waiting
        with (
            provide(
                service,
                loaded.base,
                places=Places(root, state.path, options.any_path, options.cache_size),
                environ=os.environ,
                clock=logs.clock,
                progress=_progress(options, logs),
            ) as artifacts,
            contextlib.closing(_listen(options)) as listener,
            held_sdk_directory(root) as sdk,
            _access_log(options, logs, token) as access,
        ):
            notes = variables.notes(artifacts)
            for note in notes:
                logs.log.warning(note)
            told = tuple(f"{problem.path}: {problem.message}" for problem in (*loaded.warnings, *later))
            told = (*told, *notes)
            yield Parts(options, loaded, artifacts, state, token, listener, sdk, told, descriptors, access)


def _look_for_packages(loaded: Loaded, logs: Logs) -> None:
    """A preset's packages, before its model is fetched; and the log says what will serve it.

    Errors: ProcessorError. Where ``processor_envs`` changes what Python finds, the host looks instead.
    """
    service, machine = loaded.spec, loaded.machine
    preset = presets.find(service.processor) if service.processor else None
    if preset is None:
        return
    lacking = machine.packages.lacking(preset.modules)
    if lacking and not any(variable.name == "PYTHONPATH" for variable in service.processor_envs):
        names = ", ".join(lacking)
        raise ProcessorError(f"processor {service.processor} needs {names}: {preset.install}")
    logs.log.info(presets.serving(service, machine), processor=service.processor)


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
