"""What ``scale`` says beside doing it: that there are more than a machine can bear, and who still leaves."""

from __future__ import annotations

from pathlib import Path

from eas_engine.operations import OperationState, Scale
from eas_engine.spec import this_machine
from support.updating import WillingHost, serving

DONE = OperationState.DONE


async def test_far_more_instances_than_cpus_are_begun_and_warned_of(tmp_path: Path) -> None:
    cpus = this_machine().cpus
    async with serving(tmp_path) as service:
        few = await service.end(await service.ask(Scale(by="me", instances=2)))
        many = await service.ask(Scale(by="me", instances=8 * cpus + 1))
        await service.until(lambda: service.now(many).warnings)
        assert (few.state, few.warnings) == (DONE, ())
        (warning,) = service.now(many).warnings
        assert warning.startswith(f"metadata.instance: {8 * cpus + 1} asked for, this machine has {cpus} CPU")


async def test_more_instances_than_the_memory_holds_are_warned_of(tmp_path: Path) -> None:
    megabytes = this_machine().memory_bytes // 2**20
    async with serving(tmp_path, metadata={"memory": megabytes // 2}) as service:
        some = await service.ask(Scale(by="me", instances=3))
        await service.until(lambda: service.now(some).warnings)
        assert service.now(some).warnings == (
            "metadata.instance: 3 asked for, this machine can hold 2: the others stay pending",
        )


async def test_scaling_down_says_how_many_are_still_leaving(tmp_path: Path) -> None:
    """It said "scaled to 1 instance" while sixteen processes lived on."""
    async with serving(tmp_path, metadata={"instance": 4}) as service:
        await service.until(lambda: len(service.serving) == 4)
        hosts = [host for host in service.hosts.made if isinstance(host, WillingHost)]
        for host in hosts:
            host.stays = True
        done = await service.end(await service.ask(Scale(by="me", instances=1)))
        assert (done.state, done.ready) == (DONE, 1)
        assert done.reason == "3 instances are still leaving: each ends when it has answered what it has"
        for host in hosts:
            host.leave()
        await service.until(lambda: len(service.supervisor.snapshot().instances) == 1)
