"""Send the held-out digits to the running example, and show what came back beside the truth.

    .venv/bin/python examples/digits/client.py

Standard library and numpy only, as a client of yours would be. Finds the service's address and token in the
engine's state directory (``engine.json`` and the token file it names), or takes ``--url`` and ``--token``.
Exit status: 0, or 1 when the service can't be reached or refuses.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
NAME = "digits"
PER_REQUEST = 50
TIMEOUT = 10.0  # seconds
SHADES = " .:-=+*#%@"
BLACK = 16  # the darkest pixel
UPPER_HALF = "\N{UPPER HALF BLOCK}"

Scans = NDArray[np.uint8]


class UnavailableError(Exception):
    """The service can't be reached or refuses; the message says what to do."""


@dataclass(frozen=True)
class Service:
    """Where the service is, and what opens it."""

    url: str
    token: str


@dataclass(frozen=True)
class Answer:
    """What the service says one scan is, and what it really is."""

    index: int
    digit: int
    probability: float
    truth: int

    @property
    def caption(self) -> str:
        """As it stands under the picture."""
        return f"{self.digit} ({self.probability:.0%})" + (
            "" if self.digit == self.truth else f" not {self.truth}"
        )


def default_state_dir() -> Path:
    """Where an engine keeps its state unless told otherwise."""
    if directory := os.environ.get("EAS_STATE_DIR"):
        return Path(directory)
    if os.geteuid() == 0:
        return Path("/var/lib/eas-engine")
    home = os.environ.get("XDG_STATE_HOME", "")
    return (Path(home) if home.startswith("/") else Path.home() / ".local" / "state") / "eas-engine"


def find_service(state_dir: Path) -> Service:
    """The running engine's address and token. Errors: UnavailableError."""
    record = state_dir / NAME / "engine.json"
    try:
        engine = json.loads(record.read_text())
        token = Path(engine["token_file"]).read_text().strip() if engine["token_file"] else ""
        return Service(engine["url"], token)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnavailableError(f"no running engine found ({error})") from None


def classify(service: Service, scans: Scans) -> list[tuple[int, float]]:
    """Digit and probability of each scan, ``PER_REQUEST`` scans a request. Errors: UnavailableError."""
    address = urllib.parse.urlsplit(service.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=TIMEOUT)
    answers = []
    try:
        for start in range(0, len(scans), PER_REQUEST):
            body = scans[start : start + PER_REQUEST].tobytes()
            connection.request("POST", address.path, body, {"Authorization": service.token})
            response = connection.getresponse()
            text = response.read().decode()
            if response.status != http.HTTPStatus.OK:
                raise UnavailableError(f"{service.url} answered {response.status}: {text}")
            answers += [(answer["digit"], answer["probability"]) for answer in json.loads(text)]
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UnavailableError(f"{service.url}: {error}") from None
    finally:
        connection.close()
    return answers


def half_blocks(scan: Scans) -> list[str]:
    """The picture in colours: 8 columns, 4 lines of characters of two pixels each."""
    levels = 255 - scan.reshape(8, 8).astype(int) * 255 // BLACK

    def line(upper: NDArray[np.int_], lower: NDArray[np.int_]) -> str:
        pixels = (
            f"\033[38;2;{up};{up};{up}m\033[48;2;{low};{low};{low}m{UPPER_HALF}"
            for up, low in zip(upper, lower, strict=True)
        )
        return "".join(pixels) + "\033[0m"

    return [line(*levels[row : row + 2]) for row in range(0, 8, 2)]


def shades(scan: Scans) -> list[str]:
    """The picture in plain characters, two a pixel: 16 columns, 8 lines."""
    levels = scan.reshape(8, 8).astype(int) * (len(SHADES) - 1) // BLACK
    return ["".join(SHADES[level] * 2 for level in line) for line in levels]


def gallery(answers: list[Answer], scans: Scans, *, colours: bool, columns: int) -> str:
    """Pictures side by side, what the service said under each."""
    draw, width = (half_blocks, 8) if colours else (shades, 16)
    place = 16 if colours else 19  # of a picture with its caption and the space beside it
    rows = []
    per_row = max(1, columns // place)
    for start in range(0, len(answers), per_row):
        row = answers[start : start + per_row]
        pictures = [draw(scans[answer.index]) for answer in row]
        rows += [(" " * (place - width)).join(line) for line in zip(*pictures, strict=True)]
        rows += ["".join(answer.caption.ljust(place) for answer in row), ""]
    return "\n".join(line.rstrip() for line in rows)


def report(answers: list[Answer], scans: Scans, *, colours: bool, columns: int) -> str:
    """What a person wants to see: some that are right, all that are wrong, the accuracy."""
    right = [answer for answer in answers if answer.digit == answer.truth]
    wrong = [answer for answer in answers if answer.digit != answer.truth]
    parts = [gallery(right[:8], scans, colours=colours, columns=columns)]
    if wrong:
        parts += [f"Wrong: {len(wrong)} of {len(answers)}\n"]
        parts += [gallery(wrong, scans, colours=colours, columns=columns)]
    share = len(right) / len(answers)
    return "\n".join(
        [*parts, f"accuracy {share:.1%}: {len(right)} of {len(answers)} held-out digits are right"]
    )


def as_json(service: Service, answers: list[Answer]) -> str:
    """The same for a machine."""
    wrong = [vars(answer) for answer in answers if answer.digit != answer.truth]
    accuracy = 1 - len(wrong) / len(answers)
    return json.dumps(
        {"url": service.url, "sent": len(answers), "accuracy": round(accuracy, 4), "wrong": wrong}, indent=2
    )


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Send the held-out digits to the running digits example.")
    parser.add_argument("--url", help="the service, e.g. http://127.0.0.1:8080/api/predict/digits")
    parser.add_argument("--token", default="", help="its token, with --url")
    parser.add_argument(
        "--state-dir", type=Path, default=default_state_dir(), help="the engine's (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of pictures")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Exit status: 0, or 1 with one line that says what to do."""
    options = parse_arguments(arguments)
    try:
        with np.load(HERE / "model" / "held_out.npz", allow_pickle=False) as arrays:
            scans, truths = arrays["pixels"], arrays["truth"]
        service = Service(options.url, options.token) if options.url else find_service(options.state_dir)
        said = classify(service, scans)
    except FileNotFoundError as error:
        print(f"{error.filename} is missing: 'make serve' trains the example and serves it", file=sys.stderr)
        return 1
    except UnavailableError as error:
        print(f"{error}\nIs the example running? Start it with 'make serve'.", file=sys.stderr)
        return 1
    answers = [
        Answer(index, *answer, int(truth))
        for index, (answer, truth) in enumerate(zip(said, truths, strict=True))
    ]
    colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    columns = os.get_terminal_size().columns if sys.stdout.isatty() else 80
    print(
        as_json(service, answers)
        if options.json
        else report(answers, scans, colours=colours, columns=columns)
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
