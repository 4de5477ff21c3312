"""``containers``, and the name-value pairs that ``processor_envs`` shares with it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator

from eas_engine.spec.values import FreeText, Integer, Section, Text, parameter, section, to_named_values


class NamedValue(Section):
    """One environment variable."""

    name: Text = parameter(..., "The variable's name.", pattern=r"^[^=\x00]{1,1024}$")
    value: FreeText = parameter("", "The variable's value; may be empty.", shown_default="empty")


NamedValues = Annotated[tuple[NamedValue, ...], BeforeValidator(to_named_values)]


class Prepare(Section):
    """What is installed before the container starts."""

    pythonRequirements: tuple[Text, ...] = parameter(  # noqa: N815 - the parameter's own spelling
        (),
        "Python requirements, installed before the start: by the image's own python and pip; without an "
        "image, into an environment of its own that is first on `PATH`.",
    )
    pythonRequirementsPath: Text = parameter(  # noqa: N815
        "", "A requirements.txt, in the image or in mounted storage."
    )


class HttpGet(Section):
    """A check by HTTP: any status from 200 to 399 passes."""

    path: Text = parameter("/", "The path asked for.")
    port: Integer | None = parameter(None, "The port.", shown_default="the container's", ge=1, le=65535)
    scheme: Literal["HTTP", "HTTPS", "http", "https"] = parameter("HTTP", "HTTP or HTTPS.")


class TcpSocket(Section):
    """A check by connecting."""

    port: Integer | None = parameter(None, "The port.", shown_default="the container's", ge=1, le=65535)


class Exec(Section):
    """A check by a command: exit status 0 passes."""

    command: tuple[Text, ...] = parameter(..., "The command and its arguments.", min_length=1)


class Check(Section):
    """One health check of a container."""

    http_get: HttpGet | None = parameter(None, "Check by HTTP.", shown_default="none")
    tcp_socket: TcpSocket | None = parameter(
        None, "Check by connecting.", shown_default="the container's port"
    )
    exec: Exec | None = parameter(None, "Check by a command.", shown_default="none")
    initial_delay_seconds: Integer = parameter(
        0, "Wait before the first check.", unit="seconds", ge=0, le=86400
    )
    period_seconds: Integer = parameter(10, "Time between checks.", unit="seconds", ge=1, le=86400)
    timeout_seconds: Integer = parameter(
        1, "When one check counts as failed.", unit="seconds", ge=1, le=86400
    )
    failure_threshold: Integer = parameter(3, "Failures in a row that count.", ge=1, le=100_000)
    success_threshold: Integer = parameter(1, "Successes in a row that count.", ge=1, le=100_000)


class Container(Section):
    """A program of the user's own behind 8080."""

    image: Text = parameter(
        "",
        "Run with podman or Docker, host network, the service's limits. Neither installed: refused. Without "
        "an image `command` or `script` runs as plain processes under the instance limits.",
        shown_default="plain processes",
    )
    env: NamedValues = parameter((), "Environment variables, `[{name, value}]`.")
    command: Text = parameter(
        "",
        "One command, without a shell; works in images that have none. Exactly one of `command` and "
        "`script`.",
        shown_default="one of the two",
    )
    script: Text = parameter("", "Several lines, run by `sh -c`.", shown_default="one of the two")
    port: Integer = parameter(
        8000,
        "The port the program listens on; not 8080 or 9090. With several instances each gets its own in "
        "`PORT`.",
        ge=1,
        le=65535,
    )
    prepare: Prepare = section("What is installed before the start.")
    startup_check: Check | None = parameter(
        None, "When the program counts as started.", shown_default="TCP on the port"
    )
    liveness_check: Check | None = parameter(
        None, "When it counts as dead and is restarted.", shown_default="TCP on the port"
    )
    readiness_check: Check | None = parameter(None, "When it gets requests.", shown_default="TCP on the port")
