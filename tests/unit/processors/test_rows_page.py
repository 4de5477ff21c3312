"""docs/presets/rows.md and pmml.md against the presets: the keys of model_config."""

from __future__ import annotations

import re

import pytest

from support.repository import ROOT

FAMILIES = {
    "XGBoost": ("rows", "xgboost"),
    "LightGBM": ("rows", "lightgbm"),
    "CatBoost": ("rows", "catboost"),
    "scikit-learn": ("rows", "sklearn"),
    "PMML": ("pmml", "pmml"),
}


@pytest.mark.parametrize("heading", FAMILIES)
def test_every_key_of_model_config_is_on_the_page_and_no_other(heading: str) -> None:
    page, module = FAMILIES[heading]
    text = (ROOT / f"docs/presets/{page}.md").read_text()
    section = re.split(r"^#+ ", text.partition(f"# {heading}\n")[2], flags=re.MULTILINE)
    told = {
        key
        for part in (section[:2] if page == "pmml" else section[:1])
        for row in re.findall(r"^\| (`\w+`.*?) \|", part, re.MULTILINE)
        for key in re.findall(r"`(\w+)`", row)
    } - {"model_config"}
    source = (ROOT / f"processors/eas_processors/{module}.py").read_text()
    (keys,) = re.findall(r"(?:_KEYS = |read_config\(\s*model_config, )(\{.*?\})", source, re.DOTALL)
    assert told == set(re.findall(r'"(\w+)"', keys))
