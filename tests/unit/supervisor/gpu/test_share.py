"""What an instance's processes are told of its cards, what enforces it, and when it has too much."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from eas_engine.devices import Gpu
from eas_engine.supervisor.gpu import cuda
from eas_engine.supervisor.gpu.share import Cards, Share, pause, verdict
from eas_engine.supervisor.place import Limits, Place, Quarters

GIB = 2**30
GPUS = (Gpu("A10", 24 * GIB, "GPU-0"), Gpu("A10", 24 * GIB, "GPU-1"))


class Driver:
    """Says what it was told to."""

    def __init__(self, **used: Mapping[int, int] | None) -> None:
        self.used = {name.replace("_", "-"): processes for name, processes in used.items()}

    def used_by(self, uuid: str) -> Mapping[int, int] | None:
        return self.used[uuid]


class Server:
    def __init__(self, pipe: Path | str) -> None:
        self._pipe = pipe

    def pipe(self, uuid: str) -> Path | str:
        assert uuid == "GPU-1"
        return self._pipe


def share(*cards: str, of: Cards | None = None, **limits: int) -> Share:
    book = of or Cards(GPUS, Driver())
    return book.share(Quarters("a-0", Place(cards=cards), Limits(**limits)))  # type: ignore[arg-type]


class TestWhatItSees:
    def test_its_cards_alone(self) -> None:
        assert share("GPU-1", "GPU-0", gpus=2).variables == {"CUDA_VISIBLE_DEVICES": "GPU-1,GPU-0"}

    def test_none_where_it_was_given_none(self) -> None:
        assert share().variables == {"CUDA_VISIBLE_DEVICES": ""}
        assert share(of=Cards()).variables == {}, "nobody knows of any: nothing is hidden"

    def test_its_share(self) -> None:
        assert share("GPU-1", gpu_memory=4 * GIB).variables == {
            "CUDA_VISIBLE_DEVICES": "GPU-1",
            "EAS_GPU_MEMORY_BYTES": str(4 * GIB),
        }

    def test_the_daemon_of_its_card_with_both_limits(self) -> None:
        found = share(
            "GPU-1", gpu_memory=4 * GIB, gpu_percent=30, of=Cards(GPUS, None, Server(Path("/s/pipe")))
        )
        assert found.variables == {
            "CUDA_VISIBLE_DEVICES": "GPU-1",
            "EAS_GPU_MEMORY_BYTES": str(4 * GIB),
            "CUDA_MPS_PIPE_DIRECTORY": "/s/pipe",
            "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": "30",
            "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT": "0=4096M",
        }

    def test_no_daemon_that_does_not_run(self) -> None:
        found = share("GPU-1", gpu_memory=4 * GIB, gpu_percent=30, of=Cards(GPUS, None, Server("no start")))
        assert "CUDA_MPS_PIPE_DIRECTORY" not in found.variables


class TestByWhat:
    def test_whole_cards(self) -> None:
        assert share().by() == {}
        assert share("GPU-1", gpus=1).by() == {"gpu": "CUDA_VISIBLE_DEVICES"}

    def test_memory(self) -> None:
        found = share("GPU-1", gpu_memory=GIB, of=Cards(GPUS, Driver(GPU_1={7: GIB, 8: 1})))
        assert found.by() == {"gpu_memory": "watchdog (the driver shows no process of it yet)"}
        found.look({8})
        assert found.by() == {"gpu_memory": "watchdog"}

    def test_what_the_driver_does_not_tell(self) -> None:
        blind = {"gpu_memory": "nothing: the driver doesn't tell what processes have"}
        assert share("GPU-1", gpu_memory=GIB, of=Cards(GPUS)).by() == blind
        found = share("GPU-1", gpu_memory=GIB, of=Cards(GPUS, Driver(GPU_1=None)))
        assert found.look({8})[1] is None
        assert found.by() == blind

    def test_compute(self) -> None:
        limits = {"gpu_memory": GIB, "gpu_percent": 30}
        found = share("GPU-1", of=Cards(GPUS, None, Server(Path("/s"))), **limits)
        assert found.by() == {"gpu_memory": "MPS", "gpu_core_percentage": "MPS"}
        found = share("GPU-1", of=Cards(GPUS, None, Server("it doesn't start: why")), **limits)
        assert found.by()["gpu_core_percentage"] == "nothing: it doesn't start: why"
        found = share("GPU-1", of=Cards(GPUS), **limits)
        assert found.by()["gpu_core_percentage"] == "nothing: nvidia-cuda-mps-control isn't installed"


def test_figures_that_can_not_be_end_nobody_and_hold_nobody() -> None:
    """None of them is one by which a share could be enforced, so the status doesn't say that it is."""
    for absurd in (2**64 - 2, 25 * GIB, 0):
        found = share("GPU-1", gpu_memory=5 * GIB, of=Cards(GPUS, Driver(GPU_1={7: absurd})))
        assert found.look({7}) == (pause(0, 5 * GIB), None)
        assert found.by()["gpu_memory"] == "watchdog (the driver shows no process of it yet)"


def test_what_all_its_processes_have_counts_and_nobody_elses() -> None:
    driver = Driver(GPU_1={7: 3 * GIB, 8: 2 * GIB, 9: 20 * GIB})
    found = share("GPU-1", gpu_memory=5 * GIB, of=Cards(GPUS, driver))
    assert found.watched
    assert found.look({7, 8, 10}) == (0.1, None), "all of its share, and no more"
    driver.used["GPU-1"] = {7: 3 * GIB, 8: 3 * GIB}
    _, condemned = found.look({7, 8})
    assert condemned is not None
    assert (condemned.kind, condemned.cause) == (
        "gpu_memory",
        "GPUMemoryExceeded: 6144 MB used, 5120 MB allowed",
    )
    assert not share("GPU-1", gpus=1).watched


@given(st.integers(0, 2**40), st.integers(1, 2**40), st.integers(0, 2**30))
def test_the_verdict_and_the_next_look(used: int, allowed: int, more: int) -> None:
    assert (verdict(used, allowed) is not None) is (used > allowed)
    assert 0.1 <= pause(used + more, allowed) <= pause(used, allowed) <= 1.0


def test_a_toolkit_comes_first_in_the_search_paths() -> None:
    toolkit, base = Path("/usr/local/cuda-11.2"), {"PATH": "/usr/bin", "LD_LIBRARY_PATH": "/lib/x"}
    assert cuda.variables(toolkit, {"LD_LIBRARY_PATH": "/own"}, base) == {
        "CUDA_HOME": "/usr/local/cuda-11.2",
        "LD_LIBRARY_PATH": "/usr/local/cuda-11.2/lib64:/own",
        "PATH": "/usr/local/cuda-11.2/bin:/usr/bin",
    }
    assert cuda.variables(toolkit, {}, {})["LD_LIBRARY_PATH"] == "/usr/local/cuda-11.2/lib64"
