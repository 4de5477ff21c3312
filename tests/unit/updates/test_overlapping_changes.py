"""Changes that come while another one is under way: the later word counts, and nobody waits for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from eas_engine.operations import OperationState, RefusedError, Scale
from support.updating import serving

DONE, FAILED, SUPERSEDED = OperationState.DONE, OperationState.FAILED, OperationState.SUPERSEDED
ROLLING, TRYING = OperationState.ROLLING, OperationState.TRYING


async def test_a_number_that_no_version_may_have_is_refused_during_an_update_too(tmp_path: Path) -> None:
    """It used to be taken, and to end the engine when the update was over."""
    async with serving(tmp_path) as service:
        update = service.update("model_config=hang")
        await service.until(lambda: service.now(update).state is ROLLING)

        with pytest.raises(RefusedError, match="at most 1000"):
            service.ask(Scale(by="me", instances=1001))
        assert service.supervisor.snapshot().wanted == 1
