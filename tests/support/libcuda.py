"""The functions of ``libcuda`` that the host uses, by a script: as ``ctypes.CDLL`` would offer them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_NAMES = {700: b"CUDA_ERROR_ILLEGAL_ADDRESS", 719: b"CUDA_ERROR_LAUNCH_FAILED"}
_INVALID = 1
_NO_CONTEXT = 201


class LibCuda:
    """Contexts: the calling thread's, if ``current``, and those of the devices in ``primary``.

    ``answer``: what they answer, 0 when all is well. ``lacks``: functions that an old driver hasn't.
    """

    def __init__(
        self,
        *,
        devices: int = 1,
        current: bool = False,
        primary: Sequence[int] = (),
        answer: int = 0,
        retain: int = 0,
        free: int = 0,
        total: int = 0,
        lacks: Sequence[str] = (),
    ) -> None:
        self.devices, self.current, self.primary = devices, current, primary
        self.answer, self.retain = answer, retain
        self.free, self.total = free, total
        self.stack: list[int] = []
        self.retained = 0
        self._lacks = frozenset(lacks)

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("cu") and name != "current" and name in self._lacks:
            raise AttributeError(name)
        return super().__getattribute__(name)

    def cuCtxGetCurrent(self, context: Any) -> int:  # noqa: N802 - the library's names
        context._obj.value = 0x1000 if self.current else None
        return 0

    def cuCtxSynchronize(self) -> int:  # noqa: N802
        return self.answer if self.stack or self.current else _NO_CONTEXT

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self.devices
        return 0

    def cuDevicePrimaryCtxGetState(self, device: int, flags: Any, active: Any) -> int:  # noqa: N802
        flags._obj.value = 0
        active._obj.value = device in self.primary
        return 0

    def cuDevicePrimaryCtxRetain(self, context: Any, device: int) -> int:  # noqa: N802
        if not self.retain:
            context._obj.value = 0x2000 + device
            self.retained += 1
        return self.retain

    def cuDevicePrimaryCtxRelease_v2(self, _device: int) -> int:  # noqa: N802
        self.retained -= 1
        return 0

    def cuCtxPushCurrent_v2(self, context: Any) -> int:  # noqa: N802
        self.stack.append(context.value)
        return 0

    def cuCtxPopCurrent_v2(self, context: Any) -> int:  # noqa: N802
        context._obj.value = self.stack.pop()
        return 0

    def cuGetErrorName(self, code: int, text: Any) -> int:  # noqa: N802
        text._obj.value = _NAMES.get(code)
        return 0 if code in _NAMES else _INVALID

    def cuMemGetInfo_v2(self, free: Any, total: Any) -> int:  # noqa: N802
        free._obj.value, total._obj.value = self.free, self.total
        return self.answer
