"""From the addresses in service.json to what a host needs to find on this machine.

Each address is fetched (``fetch``), what came is laid out as processors expect it (``workspace``), and in
that the entry and the model's main file are found (``local``). A service that somebody started by hand, with
nothing to fetch, is used where it lies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from eas_engine.artifacts import local
from eas_engine.artifacts.cache.cache import Cache
from eas_engine.artifacts.cache.prune import Room, limit_of, trim
from eas_engine.artifacts.fetching.fetched import Fetched
from eas_engine.artifacts.fetching.here import Here
from eas_engine.artifacts.fetching.progress import Progress
from eas_engine.artifacts.local import Artifacts, Location
from eas_engine.artifacts.sources import local_files
from eas_engine.artifacts.sources.stopping import Stop, ended_by_signals
from eas_engine.artifacts.workspace.workspace import (
    MODEL,
    PROCESSOR,
    Content,
    OtherFilesError,
    Workspace,
    find_workspace,
    holds,
    identity_of,
    make_workspace,
)
from eas_engine.clock import Clock
from eas_engine.errors import ArtifactError
from eas_engine.records import dataclass
from eas_engine.secrecy import is_secret, redacted
from eas_engine.spec import ServiceSpec

if TYPE_CHECKING:
    from eas_engine.artifacts.fetching.fetch import Fetcher


_PLACES: Final = ((MODEL, "model_path"), (PROCESSOR, "processor_path"))


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are kept.

    Attributes:
        root: the root of the state directories; the cache is ``cache`` below it.
        state: the service's own state directory, whose lock is held.
        by_hand: somebody started the processor itself: local things are used where they lie.
        cache_size: how large the cache may become, as ``prune.limit_of`` reads it.
        in_use: the workspaces that processors of this engine work in now.
        keep: the identities of the workspaces that a rollback would want.
    """

    root: Path
    state: Path
    by_hand: bool = False
    cache_size: str = ""
    in_use: tuple[Path, ...] = ()
    keep: tuple[str, ...] = ()


@contextmanager
def provide(
    spec: ServiceSpec,
    base: Path,
    *,
    places: Places,
    environ: Mapping[str, str],
    clock: Clock,
    progress: Progress,
    stop: Stop | None = None,
    files: str = "",
) -> Iterator[Artifacts]:
    """Everything on this machine; what is needed of the cache stays there until the end of the context.

    Without ``stop`` it is called in the main thread, and SIGTERM and SIGINT end it
    (``InterruptedStartError``); with it, in any thread, and whoever sets it ends it (``StoppedError``).

    Args:
        spec: the service.
        base: the directory of service.json.
        places: where things are kept.
        environ: proxies, credentials.
        clock: time.
        progress: who is told.
        stop: set when nobody wants it any more.
        files: the identity of the workspace that is wanted, whatever lies at the addresses now; empty: what
            lies there.

    Raises:
        OtherFilesError: those files aren't kept any more, and others lie there.
        ArtifactError: something can't be had, or isn't there; says what is.
        ConfigurationError: an address can't be one, or lacks what belongs to it.
    """
    if places.by_hand and local.is_all_local(spec):
        yield local.in_place(spec, base)
        return
    limit = limit_of(places.cache_size, places.root)
    ending = stop or Stop()
    signals = nullcontext() if stop else ended_by_signals(ending)
    cache = Cache.open(places.root / "cache")
    fetcher = _fetcher(spec, cache, ending, environ=environ, clock=clock, progress=progress)
    try:
        with signals:
            artifacts = _provided(spec, base, places, fetcher, files)
            for note in artifacts.workspace.notes if artifacts.workspace else ():
                progress.warn(note)
            if not local.is_all_local(spec):
                trim(cache, limit, clock.wall())
        progress.end()
        yield artifacts
    finally:
        progress.end()
        fetcher.release()


def _fetcher(
    spec: ServiceSpec,
    cache: Cache,
    stop: Stop,
    *,
    environ: Mapping[str, str],
    clock: Clock,
    progress: Progress,
) -> Fetcher | Here:
    """What brings the addresses of a service; the network's part is loaded where there is one to bring."""
    if local.is_all_local(spec):
        return Here(cache.root, stop)
    from eas_engine.artifacts.fetching.fetch import Fetcher, Network  # noqa: PLC0415 - a service may need none
    from eas_engine.artifacts.fetching.transfer import Means  # noqa: PLC0415 - as above

    means = Means(stop, clock, Room(cache).make)
    return Fetcher(cache, Network(environ, spec.oss_endpoint), means, progress)


def files_here(spec: ServiceSpec, base: Path, root: Path) -> str:
    """The identity of what lies at the addresses now; empty when that takes fetching or unpacking.

    ``root``: of the state directories. Errors: ArtifactError.
    """
    if not local.is_all_local(spec):
        return ""
    contents = _contents_here(spec, base)
    try:
        return identity_of(contents.get(MODEL), contents.get(PROCESSOR), root)
    except OSError as error:
        raise ArtifactError(f"{error.filename}: {error.strerror}") from error


def is_made_of(workspace: Path, spec: ServiceSpec, source: Path, root: Path) -> bool | None:
    """Whether a workspace (its root) has what lies at the addresses now.

    None when telling takes fetching or unpacking. The service's own file (``source``) may lie there, too; it
    doesn't count, for what it says is compared.
    ``root``: of the state directories. Errors: ArtifactError.
    """
    if not local.is_all_local(spec):
        return None
    contents = _contents_here(spec, source.parent)
    try:
        return holds(workspace, contents, root, source)
    except OSError as error:
        raise ArtifactError(f"{error.filename}: {error.strerror}") from error


def is_kept(spec: ServiceSpec, places: Places, files: str) -> bool:
    """Whether there is a workspace of these files, as it was made. Errors: ArtifactError."""
    return find_workspace(places.state / "versions", files, without_secrets(spec)) is not None


def lies_here(spec: ServiceSpec, source: Path, places: Places, files: str) -> bool:
    """Whether a workspace of these files was made of what lies at the addresses now; see ``is_made_of``."""
    versions = places.state / "versions"
    homes = (versions / files, *versions.glob(f"{files}-*"))
    return any(is_made_of(home / "W", spec, source, places.root) for home in homes)


def _contents_here(spec: ServiceSpec, base: Path) -> dict[str, Content]:
    given = ((place, parameter, _address(spec, parameter)) for place, parameter in _PLACES)
    return {
        place: Content(local_files.find(name, address, base)) for place, name, address in given if address
    }


def _address(spec: ServiceSpec, parameter: str) -> str:
    """Empty when there is nothing to fetch."""
    return "" if spec.processor and parameter == "processor_path" else str(getattr(spec, parameter))


def _provided(
    spec: ServiceSpec, base: Path, places: Places, fetcher: Fetcher | Here, files: str
) -> Artifacts:
    def fetched(parameter: str) -> Fetched | None:
        address = _address(spec, parameter)
        return fetcher.fetch(parameter, address, base) if address else None

    config = without_secrets(spec)

    def made() -> Workspace:
        """Of what lies at the addresses now."""
        processor, model = fetched("processor_path"), fetched("model_path")
        return make_workspace(
            places.state / "versions",
            model=_content(model),
            processor=_content(processor),
            config=config,
            leave_out=places.root,
            in_use=places.in_use,
            keep=places.keep,
            only=files,
        )

    workspace = _kept(spec, places, config, files, made) if files else made()
    warm_up = fetched("warm_up_data_path")
    try:
        directory, entry, entry_class, interpreter, model_path, model_entry = local.arrange(
            spec,
            base,
            # a preset brings its own code, and works in the place that a processor's package would have
            Location(workspace.root / PROCESSOR) if spec.processor else _location(workspace, PROCESSOR),
            _location(workspace, MODEL),
        )
    except OSError as error:
        raise ArtifactError(f"{error.filename}: {error.strerror}") from error
    return Artifacts(
        directory,
        entry,
        entry_class,
        model_path,
        model_entry,
        interpreter,
        warm_up=warm_up.path if warm_up is not None else None,
        workspace=workspace,
        config=config,
    )


def _kept(
    spec: ServiceSpec, places: Places, config: Mapping[str, object], files: str, made: Callable[[], Workspace]
) -> Workspace:
    """The workspace of these files: as it was made, else made anew of them, else as processors left it."""
    versions = places.state / "versions"
    whole = find_workspace(versions, files, config)
    if whole is not None:
        return whole
    try:
        return made()
    except ArtifactError as error:
        left = find_workspace(versions, files, config, as_left=True)
        if left is not None:
            return left
        if isinstance(error, OtherFilesError):
            raise OtherFilesError(_others(spec)) from None
        raise


def without_secrets(spec: ServiceSpec) -> dict[str, Any]:
    """The effective configuration, as far as processors may know it."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            named = is_secret(str(value.get("name", ""))) and "value" in value
            return {
                key: "" if (named and key == "value") or (key != "value" and is_secret(key)) else plain(one)
                for key, one in value.items()
            }
        if isinstance(value, list):
            return [plain(one) for one in value]
        return redacted(value) if isinstance(value, str) else value

    found: dict[str, Any] = plain(spec.model_dump(mode="json", by_alias=True))
    return found | {"model_config": spec.model_config_text}


def _content(fetched: Fetched | None) -> Content | None:
    if fetched is None:
        return None
    return Content(fetched.path, fetched.name, fetched.cached, fetched.identity)


def _location(workspace: Workspace, place: str) -> Location | None:
    """Where it lies in the workspace; None when it doesn't."""
    name, directory = workspace.names.get(place), workspace.root / place
    if name is None:
        return None
    return Location(directory, directory / name if name else None)


def _others(spec: ServiceSpec) -> str:
    addresses = [one for one in ("processor_path", "model_path") if _address(spec, one)]
    return (
        f"the files that this version had are no longer kept, and what lies at its {' and '.join(addresses)} "
        "now is something else: rollback --new-files, update FILE, or serve --fresh takes it"
    )
