"""Which requests leave together, and when (``rpc.batching``). Knows nothing of hosts: ``workers`` asks it."""
