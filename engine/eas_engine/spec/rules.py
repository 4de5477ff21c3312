"""What must hold between parameters: everything that can be decided by reading the file alone.

Each rule is a function of the spec that yields its complaints; a complaint names the parameters it is about,
so that one about a value that couldn't be read isn't made twice. What depends on the machine is in
``fit.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from eas_engine.spec import addresses, java_options, model_config, presets
from eas_engine.spec.containers import Check, Container
from eas_engine.spec.model import ServiceSpec
from eas_engine.spec.problems import Complaint, Origin, Problem, problem_at
from eas_engine.spec.rpc import MOST_INSIDE
from eas_engine.spec.storage import Mount

OWN_PORTS: Final = (8080, 9090)
_ONLY_WITH_BATCHING: Final = (
    "max_batch_size",
    "max_batch_timeout",
    "batch_when_idle",
    "batch_padding",
    "batch_sizes",
)
_MOUNTS: Final = ("oss", "nfs", "git", "empty_dir", "local")


def problems(spec: ServiceSpec, origins: Mapping[str, Origin], unread: frozenset[str]) -> Iterator[Problem]:
    """Every broken rule, but for those about parameters that couldn't be read."""
    renumbered = {path.partition("[")[0] for path in unread if "[" in path}
    for rule in _RULES:
        for one in rule(spec):
            given = origins.get(one.about[0])
            if one.severity == "warning" and given is not None and given.kind == "instance_type":
                continue  # nobody wrote it
            if "[" in one.about[0] and one.about[0].partition("[")[0] in renumbered:
                continue  # the broken items were taken out, so the others' numbers are wrong
            if not any(path in unread or _above(path, unread) for path in one.about):
                yield problem_at(one.about[0], origins, one.message, one.severity)


def _above(path: str, unread: frozenset[str]) -> bool:
    return any(
        path.startswith((one + ".", one + "[")) or one.startswith((path + ".", path + "[")) for one in unread
    )


def _what_runs(spec: ServiceSpec) -> Iterator[Complaint]:
    given = [
        name
        for name, value in (
            ("processor", spec.processor),
            ("processor_type", spec.processor_type),
            ("containers", spec.containers),
        )
        if value
    ]
    about = ("processor_type", "processor", "containers")
    if not given:
        yield Complaint(
            about, "nothing says what to run: set exactly one of processor, processor_type, containers"
        )
    elif len(given) > 1:
        yield Complaint(
            (given[-1], *about),
            f"{' and '.join(given)} are both given: set exactly one of processor, processor_type, containers",
        )


def _processor(spec: ServiceSpec) -> Iterator[Complaint]:
    if spec.processor and presets.find(spec.processor) is None:
        known = ", ".join(presets.known_codes())
        yield Complaint(
            ("processor",), f'"{spec.processor}": no such preset; there are: {known} (and their versions)'
        )
    yield from _preset(spec)
    kind = spec.processor_type
    if kind in ("cpp", "python") and not spec.processor_entry:
        what = "the .so" if kind == "cpp" else "the .py"
        yield Complaint(("processor_entry", "processor_type"), f"required with processor_type {kind}: {what}")
    if kind == "java" and not spec.processor_mainclass:
        yield Complaint(
            ("processor_mainclass", "processor_type"), "required with processor_type java: the class"
        )
    if kind == "java" and not (spec.processor_entry or spec.processor_path):
        yield Complaint(
            ("processor_path", "processor_entry", "processor_type"), "required with processor_type java"
        )
    if kind in ("cpp", "python") and spec.processor_mainclass:
        yield Complaint(
            ("processor_mainclass", "processor_type"), f"no effect with processor_type {kind}", "warning"
        )
    if spec.metadata.rpc.cpp_batch and kind != "cpp":
        yield Complaint(
            ("metadata.rpc.cpp_batch", "processor_type"), "no effect without processor_type cpp", "warning"
        )
    if (
        kind == "python"
        and spec.processor_entry
        and not spec.processor_entry.partition(":")[0].endswith(".py")
    ):
        yield Complaint(
            ("processor_entry",), f'"{spec.processor_entry}": expected a .py file, or file.py:Class'
        )


def _preset(spec: ServiceSpec) -> Iterator[Complaint]:
    preset = presets.find(spec.processor)
    if preset is None or not preset.is_served:
        return
    if not spec.model_path:
        yield Complaint(("model_path", "processor"), f'required with processor "{spec.processor}": the model')
    for name in ("processor_path", "processor_entry", "processor_mainclass"):
        if getattr(spec, name):
            yield Complaint(
                (name, "processor"), f'no effect: processor "{spec.processor}" brings its own code', "warning"
            )


def _model_config(spec: ServiceSpec) -> Iterator[Complaint]:
    preset = presets.find(spec.processor)
    if preset is None or not preset.is_served:
        return
    for key, message, severity in model_config.what_is_wrong(preset.name, spec.model_config_text):
        path = f"model_config.{key}" if key else "model_config"
        yield Complaint((path, "processor"), message, severity)


def _java(spec: ServiceSpec) -> Iterator[Complaint]:
    given = spec.metadata.java_opts
    if given and spec.processor_type != "java" and spec.processor != "pmml":
        yield Complaint(
            ("metadata.java_opts", "processor_type"),
            "no effect: only Java processors and pmml have a JVM",
            "warning",
        )
    for index, option in enumerate(given):
        wrong = java_options.what_is_wrong(option)
        if wrong:
            yield Complaint((f"metadata.java_opts[{index}]",), f'"{option}": {wrong}')


def _addresses(spec: ServiceSpec) -> Iterator[Complaint]:
    for path in ("model_path", "processor_path", "warm_up_data_path"):
        address = getattr(spec, path)
        try:
            pin = addresses.pin(address)
        except ValueError as error:
            yield Complaint((path,), str(error))
            continue
        if pin and addresses.is_folder(address):
            yield Complaint((path,), "#sha256= is a file's digest; an address that ends with / is a folder")
        if addresses.scheme(address) in ("http", "https") and addresses.is_folder(address):
            yield Complaint((path,), "a folder can't be fetched by http; pack it into an archive")


def _gpu(spec: ServiceSpec) -> Iterator[Complaint]:
    metadata = spec.metadata
    if metadata.gpu and metadata.gpu_memory:
        yield Complaint(
            ("metadata.gpu_memory", "metadata.gpu"),
            f"ignored: gpu is {metadata.gpu}, and whole GPUs come with all their memory",
            "warning",
        )
    if metadata.gpu_core_percentage and not metadata.gpu_memory:
        yield Complaint(
            ("metadata.gpu_core_percentage", "metadata.gpu_memory"), "no effect without gpu_memory", "warning"
        )


def _batching(spec: ServiceSpec) -> Iterator[Complaint]:
    rpc, sizes = spec.metadata.rpc, spec.metadata.rpc.batch_sizes
    if any(size < 1 for size in sizes):
        yield Complaint(("metadata.rpc.batch_sizes",), "expected sizes of at least 1")
    elif list(sizes) != sorted(set(sizes)):
        yield Complaint(("metadata.rpc.batch_sizes",), f"{list(sizes)}: expected each size once, ascending")
    elif sizes and sizes[-1] > rpc.max_batch_size:
        yield Complaint(
            ("metadata.rpc.batch_sizes", "metadata.rpc.max_batch_size"),
            f"{sizes[-1]}: expected at most metadata.rpc.max_batch_size, which is {rpc.max_batch_size}",
        )
    if rpc.batching and rpc.batch_rows > rpc.batch_requests:
        yield Complaint(
            ("metadata.rpc.max_batch_size", "metadata.rpc.batch_sizes", "metadata.rpc.worker_threads"),
            f"{rpc.batch_rows} rows for each of {rpc.threads} worker threads: an instance holds at most "
            f"{MOST_INSIDE} requests, so a batch has at most {rpc.batch_requests} of them; only requests "
            "that hold several rows can fill it",
            "warning",
        )
    if not rpc.batching:
        for name in _ONLY_WITH_BATCHING:
            if getattr(rpc, name) != type(rpc).model_fields[name].default:
                yield Complaint(
                    (f"metadata.rpc.{name}", "metadata.rpc.batching"),
                    "no effect without metadata.rpc.batching",
                    "warning",
                )


def _rpc(spec: ServiceSpec) -> Iterator[Complaint]:
    rpc = spec.metadata.rpc
    if rpc.proxy_path and not rpc.proxy_path.startswith("/"):
        yield Complaint(
            ("metadata.rpc.proxy_path",), f'"{rpc.proxy_path}": expected a path that begins with /'
        )
    if rpc.max_inflight_bytes < rpc.max_body_size:
        yield Complaint(
            ("metadata.rpc.max_body_size", "metadata.rpc.max_inflight_bytes"),
            f"a body may have {rpc.max_body_size} bytes, all bodies together only {rpc.max_inflight_bytes} "
            "(rpc.max_inflight_bytes): larger ones can't be read whole",
            "warning",
        )


def _rollout(spec: ServiceSpec) -> Iterator[Complaint]:
    unavailable = spec.metadata.rolling_strategy.max_unavailable
    if isinstance(unavailable, str) and int(unavailable[:-1]) > 100:
        yield Complaint(
            ("metadata.rolling_strategy.max_unavailable",), f'"{unavailable}": expected at most 100%'
        )


def _autoscaler(spec: ServiceSpec) -> Iterator[Complaint]:
    if spec.autoscaler is not None:
        from eas_engine.spec import scaling  # noqa: PLC0415 - its calendar costs every other start 5 ms

        yield from scaling.complaints(spec.autoscaler)


def _containers(spec: ServiceSpec) -> Iterator[Complaint]:
    if len(spec.containers) > 1:
        yield Complaint(("containers[1]",), "expected one container")
    for index, container in enumerate(spec.containers):
        yield from _container(container, f"containers[{index}]")


def _container(container: Container, path: str) -> Iterator[Complaint]:
    if container.command and container.script:
        yield Complaint(
            (f"{path}.script", f"{path}.command"), "command and script are both given: set one of them"
        )
    if not container.command and not container.script:
        yield Complaint((f"{path}.command", f"{path}.script"), "required: command or script")
    if container.port in OWN_PORTS:
        yield Complaint(
            (f"{path}.port",), f"{container.port} is the engine's own: expected another than 8080 and 9090"
        )
    for name in ("startup_check", "liveness_check", "readiness_check"):
        check: Check | None = getattr(container, name)
        kinds = [
            one for one in ("http_get", "tcp_socket", "exec") if check and getattr(check, one) is not None
        ]
        if len(kinds) > 1:
            yield Complaint(
                (f"{path}.{name}",), f"{' and '.join(kinds)}: expected one of http_get, tcp_socket, exec"
            )


def _storage(spec: ServiceSpec) -> Iterator[Complaint]:
    seen: set[str] = set()
    for index, mount in enumerate(spec.storage):
        path = f"storage[{index}]"
        yield from _mount(mount, path)
        if mount.mount_path in seen:
            yield Complaint((f"{path}.mount_path",), f'"{mount.mount_path}" is mounted twice')
        seen.add(mount.mount_path)


def _mount(mount: Mount, path: str) -> Iterator[Complaint]:
    kinds = [name for name in _MOUNTS if getattr(mount, name) is not None]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none of them"
        yield Complaint((path,), f"{found} given: expected exactly one of {', '.join(_MOUNTS)}")


_RULES: Final[tuple[Callable[[ServiceSpec], Iterator[Complaint]], ...]] = (
    _what_runs,
    _processor,
    _model_config,
    _java,
    _addresses,
    _gpu,
    _batching,
    _rpc,
    _rollout,
    _autoscaler,
    _containers,
    _storage,
)
