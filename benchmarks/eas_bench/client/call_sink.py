"""The server for gRPC that costs least: ``python -m eas_bench.client.call_sink``; it answers with nothing.

As the sink for HTTP it tells its port, and reads a line, which it doesn't need. It ends with its stdin.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from eas_bench.client.calls import package

_NO_LIMIT: Final = [("grpc.max_receive_message_length", -1)]


def main() -> None:
    """The process."""
    grpc = package()

    class Everything(grpc.GenericRpcHandler):  # type: ignore[misc, name-defined]  # of an extra
        """Every method there may be."""

        def service(self, handler_call_details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"")

    server = grpc.server(ThreadPoolExecutor(1), handlers=(Everything(),), options=_NO_LIMIT)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"listening {port}", flush=True)  # noqa: T201 - the starter reads it
    sys.stdin.read()


if __name__ == "__main__":
    main()
