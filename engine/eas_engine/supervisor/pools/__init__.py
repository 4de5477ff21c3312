"""Where instances run: pools of CPUs and memory that the engines of one machine share.

``assign`` is the pure decision, ``ledger`` what the engines tell each other, ``placer`` the two together,
``rebalance`` the moving of instances to better groups, ``report`` all of it for people.
"""
