"""The whole of service.json as one frozen tree.

The descriptions of the fields are the reference: ``docs/parameters.md`` and the JSON Schema are made from
them. Text that isn't set is the empty string, as in the file; numbers that have no fixed default are
``None``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from eas_engine.spec.autoscaler import Autoscaler
from eas_engine.spec.containers import Container, NamedValues
from eas_engine.spec.metadata import Metadata
from eas_engine.spec.storage import Mount
from eas_engine.spec.values import Boolean, DiskBytes, FreeText, JsonText, Section, Text, parameter, section


class Runtime(Section):
    """``runtime``: what happens after a crash."""

    enable_crash_block: Boolean = parameter(
        False,
        "A crash of the processor restarts its instance, with back-off (0, 1, 1, 2, 3, 5 ... 60 s; reset "
        "after 60 s of health). `true`: it isn't restarted; working directory, log, core and requests are "
        "kept for inspection.",
    )


class InstanceChoice(Section):
    """One of several machine sizes."""

    type: Text = parameter(..., "The type's name.", min_length=1)


class Computing(Section):
    """``cloud.computing``: a machine size."""

    instance_type: Text = parameter(
        "",
        "A machine size, of the table of common ECS types or of the engine settings' own (docs/settings.md): "
        "gives `cpu`, `memory`, `gpu` and `gpu_memory` where `metadata` doesn't. One that this machine, or "
        "the service's resource group, can't hold is clipped to it with a warning.",
    )
    instances: tuple[InstanceChoice, ...] = parameter(
        (), "Several sizes: the first one that this machine can hold is taken."
    )


class Cloud(Section):
    """``cloud``."""

    computing: Computing = section("A machine size.")


class Features(Section):
    """``features``."""

    extra_ephemeral_storage: DiskBytes | None = parameter(
        None,
        "Scratch space of one instance: `100Gi`, or 0 to 2000 (GB). Checked against the free disk at start; "
        "an instance that writes more is stopped and restarted, reason `EphemeralStorageExceeded`.",
        key="eas.aliyun.com/extra-ephemeral-storage",
        unit="bytes",
        shown_default="no limit",
        ge=0,
        le=2000 * 2**30,
    )


class Networking(Section):
    """``networking``."""

    disable_internet_endpoint: Boolean = parameter(
        False,
        "`true`: 8080 answers only callers with a loopback, private or link-local address; others get 403 "
        "before any body is read.",
    )


class ServiceSpec(Section):
    """One service."""

    name: Text = parameter(
        ...,
        "Part of the URL `/api/predict/<name>`; letters a-z, digits, `_` and `-`, at most 128, beginning "
        "with a letter or digit. A second engine with the same name on one machine is refused.",
        pattern=r"^[a-z0-9][a-z0-9_-]{0,127}$",
    )
    token: Text = parameter(
        "",
        "What callers must show. Any text. Generated once and kept in the state directory when not given.",
        shown_default="generated",
        secret=True,
    )
    generate_token: Boolean = parameter(
        True, "`false` and no `token`: an open service, which is said loudly at start."
    )
    model_path: Text = parameter(
        "",
        "Where the model lies: a local path (absolute, or relative to the file), `http(s)://`, "
        "`oss://bucket/path`, or another scheme whose package is installed. A file, an archive or a "
        "directory.",
    )
    oss_endpoint: Text = parameter(
        "",
        "The endpoint for `oss://` addresses; required for them unless `OSS_ENDPOINT` is set.",
        shown_default="`OSS_ENDPOINT`",
    )
    model_entry: Text = parameter(
        "",
        "Main file or directory in the model. The processor gets it as an absolute path, a trailing `/` "
        "kept. Not there: exit 3, listing what is. Without `model_path`: empty.",
        shown_default="a plain file: its name; else the model directory with `/`",
    )
    model_config_text: JsonText = parameter(
        "",
        "Text or JSON value, given to the processor's `initialize` as text; objects are serialised.",
        key="model_config",
    )
    processor: Text = parameter(
        "",
        "The code of a preset processor, with or without a version (docs/presets.md); needs `model_path`. "
        "Exactly one of `processor`, `processor_type` and `containers`.",
    )
    processor_path: Text = parameter("", "Where the processor's package lies; as `model_path`.")
    processor_entry: Text = parameter(
        "",
        "cpp: the `.so`; python: the `.py`, or `app.py:Class`; java: the jar, when `processor_path` isn't "
        "the jar itself. Required for cpp and python. Without `processor_path` it is relative to the file.",
    )
    processor_mainclass: Text = parameter("", "The Java class. Java only, required there.")
    processor_type: Literal["", "cpp", "java", "python"] = parameter(
        "", "The language of a custom processor: `cpp`, `java` or `python`."
    )
    processor_envs: NamedValues = parameter(
        (), "Environment variables of the processor's process, `[{name, value}]`."
    )
    warm_up_data_path: Text = parameter(
        "",
        "Requests sent to every instance before it is ready: one file, or an archive or directory of files. "
        "`.bin` is one request's bytes, `.txt` one request a line.",
    )
    runtime: Runtime = section("What happens after a crash.")
    cloud: Cloud = section("A machine size.")
    autoscaler: Autoscaler | None = parameter(None, "The number of instances follows the load.")
    containers: tuple[Container, ...] = parameter((), "A program of the user's own behind 8080.")
    storage: tuple[Mount, ...] = parameter((), "What is mounted into the instances.")
    metadata: Metadata = section("The instances of the service.")
    features: Features = section("Special features.")
    networking: Networking = section("Who may call.")
    labels: Mapping[str, FreeText] = parameter(
        default_factory=dict, meaning="Labels in metrics and logs.", shown_default="none"
    )

    @property
    def start_count(self) -> int:
        """Instances at start: ``metadata.instance``, clamped to the autoscaler's bounds."""
        wanted = self.metadata.instance
        if self.autoscaler is None:
            return wanted
        return max(self.autoscaler.min, min(wanted, self.autoscaler.max))
