"""Alert and recording rules: valid, tested, and about metrics that something exports."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from observability.metrics import ENGINE_METRICS

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "observability" / "prometheus"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="no promtool on this machine: rules were only parsed")


def _rules() -> list[dict[str, object]]:
    groups = yaml.safe_load((FOLDER / "rules.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.promtool
@needs_promtool
def test_the_rules_pass_their_own_tests() -> None:
    done = subprocess.run(
        [str(PROMTOOL), "test", "rules", "rules_test.yml"], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.promtool
@needs_promtool
def test_the_scrape_configuration_is_valid() -> None:
    done = subprocess.run(
        [str(PROMTOOL), "check", "config", "--syntax-only", "prometheus.yml"],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_rule_asks_for_a_metric_that_nothing_exports() -> None:
    exported = {spec.name for spec in ENGINE_METRICS} | {"up"}
    exported |= {f"{spec.name}_bucket" for spec in ENGINE_METRICS if spec.kind == "histogram"}
    exported |= {str(rule["record"]) for rule in _rules() if "record" in rule}
    for rule in _rules():
        asked = set(re.findall(r"\b(?:nhmm[:_][a-z0-9_:]+|up)\b", str(rule["expr"])))
        assert asked <= exported, rule


def test_every_alert_has_a_runbook() -> None:
    for rule in _rules():
        if "alert" in rule:
            annotations = rule["annotations"]
            assert isinstance(annotations, dict)
            assert (ROOT / str(annotations["runbook"])).is_file(), rule["alert"]


def test_metric_names_follow_the_conventions() -> None:
    for spec in ENGINE_METRICS:
        assert re.fullmatch(r"nhmm_[a-z0-9_]+", spec.name), spec.name
        assert spec.name.endswith("_total") == (spec.kind == "counter"), spec.name
        assert spec.meaning.endswith("."), spec.name
    names = [spec.name for spec in ENGINE_METRICS]
    assert len(names) == len(set(names))
