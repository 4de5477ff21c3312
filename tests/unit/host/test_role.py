"""The role of reader: lent, revoked and regained by exactly one."""

from __future__ import annotations

import threading

from eas_host.role import Role


def test_a_lent_role_is_regained_when_nobody_took_it() -> None:
    role = Role()
    hold = role.acquire()
    role.lend(hold)
    assert repr(role) == "<Role lent>"
    assert role.regain(hold)
    assert repr(role) == "<Role held>"
    role.release()
    role.acquire()


def test_a_revoked_role_is_free_for_the_next_and_lost_for_the_lender() -> None:
    role = Role()
    hold = role.acquire()
    role.lend(hold)
    role.revoke()
    other = role.acquire()  # would wait for ever if it weren't free
    assert not role.regain(hold)
    role.revoke()  # what isn't lent can't be taken away
    role.lend(other)
    assert role.regain(other)


def test_a_role_that_is_only_held_cannot_be_revoked() -> None:
    role = Role()
    role.acquire()
    role.revoke()
    assert repr(role) == "<Role held>"


def test_of_one_who_revokes_and_one_who_regains_exactly_one_succeeds() -> None:
    """Many threads at once on one loan, many times: the lock is released once or kept, never both."""
    role = Role()
    for _ in range(300):
        hold = role.acquire()
        role.lend(hold)
        start = threading.Barrier(3)
        regained = []

        def revoke(start: threading.Barrier = start) -> None:
            start.wait()
            role.revoke()

        threads = [threading.Thread(target=revoke) for _ in range(2)]
        for thread in threads:
            thread.start()
        start.wait()
        regained.append(role.regain(hold))
        for thread in threads:
            thread.join()
        assert repr(role) == ("<Role held>" if regained[0] else "<Role free>")
        if regained[0]:
            role.release()
