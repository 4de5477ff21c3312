"""The example of docs/pools.md is what comes out."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from eas_engine.cli.pools import show
from eas_engine.spec.engine.load import load
from eas_engine.spec.engine.pools import pools_of
from eas_engine.supervisor.place import NoPlace
from eas_engine.supervisor.pools.assign import assign
from eas_engine.supervisor.pools.claims import Claim
from eas_engine.supervisor.pools.report import report
from support.pools import machine, request
from support.repository import ROOT

PAGE = (ROOT / "docs" / "pools.md").read_text(encoding="utf-8")


def block(kind: str, number: int = 0) -> str:
    return str(re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)[number])


def test_the_example(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "eas-engine.toml"
    path.write_text(block("toml"))
    here = machine(8, gib=32)
    pools = pools_of(replace(here, settings=load(path, here, {}).settings))
    digits = [request(pools, f"digits-{one}", 1, resource="fast", memory=2) for one in range(3)]
    resnet = [
        request(pools, f"resnet-{one}", 2, resource="fast", memory=4, rebalancing=True) for one in range(2)
    ]
    claims: list[Claim] = []
    for one in (*digits[:2], *resnet, request(pools, "ocr-0", 0.5)):
        found = assign(one, pools, claims)
        assert isinstance(found, Claim)
        claims.append(found)
    show({**report(pools, claims), "state_dir": ""})
    assert "\n".join(map(str.rstrip, capsys.readouterr().out.splitlines())) == block("text").rstrip()
    refused = assign(digits[2], pools, claims)
    assert isinstance(refused, NoPlace)
    assert refused.reason == block("text", 1).rstrip()
