"""The measure of the tests is measured: which mistakes it makes, and that it tells the noticed from the others."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from tests.mutation import __main__ as command
from tests.mutation import runner
from tests.mutation.operators import mutant, mutations
from tests.mutation.targets import TARGETS, Target, chosen
from tests.mutation.worker import Fate

SOURCE = '''
"""A module."""
LIMIT: int = 3
TABLE = {"a": 1, **OTHER}

@decorated(slots=True)
def judge(value: Decimal, held: int | None = None) -> bool:
    if value > Decimal("2.5") and not held:
        return False
    if ready:
        note(value)
        raise ValueError("no")
    total = max(value, -held) + 1
    total -= held
    book.cost = total
    for each in range(True):
        continue
    return value is None
'''
MISTAKES = {
    "3 is 4",
    "1 is 2",
    "the table lacks `'a'`",
    "the table lacks `OTHER`",
    "and is or",
    "> is >= in `value > Decimal('2.5')`",
    "> is <= in `value > Decimal('2.5')`",
    "2.5 is 3.5",
    "`not held` without its sign",
    "False is True",
    "`if ready` turned round",
    "`note(value)` left out",
    "`raise ValueError('no')` left out",
    "max is min",
    "`-held` without its sign",
    "+ is -",
    "- is +",
    "`book.cost = total` left out",
    "True is False",
    "`continue` left out",
    "`return value is None` returns None",
    "is is is not in `value is None`",
}


def test_every_kind_of_mistake_is_made_and_none_in_types_decorators_or_words() -> None:
    assert {mutation.what for mutation in mutations(SOURCE)} == MISTAKES


def test_each_mutant_is_the_module_with_one_mistake() -> None:
    original = ast.unparse(ast.parse(SOURCE)).splitlines()
    seen = set()
    for mutation in mutations(SOURCE):
        changed = mutant(SOURCE, mutation).splitlines()
        differing = [(a, b) for a, b in zip(original, changed, strict=True) if a != b]
        assert len(differing) == 1, mutation.what
        seen.add(tuple(differing))
    assert len(seen) == len(mutations(SOURCE))


def test_every_target_and_its_tests_exist() -> None:
    for target in TARGETS:
        assert (runner.ROOT / target.path).is_file()
        assert all((runner.ROOT / test).exists() for test in target.tests)


def test_a_module_is_chosen_by_group_path_or_name() -> None:
    assert {target.group for target in chosen([])} == {"rails", "state_machine", "ledger", "idempotency"}
    assert [target.path for target in chosen(["order_fsm"])] == ["engine_service/domain/order_fsm.py"]
    assert chosen(["idempotency", "engine_service/domain/ids.py"]) == chosen(["idempotency"])
    with pytest.raises(ValueError, match="checkers is no group"):
        chosen(["gate", "checkers"])


@pytest.fixture
def small_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A product of one module with one test, and the measure itself."""
    root = tmp_path / "tree"
    (root / "tests" / "mutation").mkdir(parents=True)
    (root / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\n')
    for module in ("__init__.py", "mutation/__init__.py", "mutation/worker.py"):
        (root / "tests" / module).write_text((runner.ROOT / "tests" / module).read_text())
    (root / "rule.py").write_text("def least(a, b):\n    while a < 0:\n        a += 7\n    return a if a <= b else b\n")
    (root / "test_rule.py").write_text(
        "import asyncio\n\nfrom rule import least\n\ndef test_least():\n"
        "    assert [least(1, 2), least(3, 2), least(-1, 9), least(0, 9)] == [1, 2, 6, 0]\n\n"
        "async def in_time():\n    async with asyncio.timeout(5):\n        return True\n\n"
        "def test_a_task_knows_itself():\n    assert asyncio.run(in_time())\n"
    )
    monkeypatch.setattr(runner, "ROOT", root)
    monkeypatch.setattr(runner, "_LEAST_S", 3.0)
    monkeypatch.setattr(runner, "_PATIENCE", 0.0)
    monkeypatch.setattr(command, "chosen", lambda names: [Target("rules", "rule.py", ("test_rule.py",))])
    return root


def test_what_a_test_notices_is_told_from_what_none_does(small_tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (small_tree / "rule.py").read_text()
    assert command.main(["--at-least", "100"]) == command.WEAK
    *lines, last = capsys.readouterr().out.splitlines()
    figures = json.loads(last)["rules"]
    # Of two equal numbers either is the least: no test can tell.
    survived = [line for line in lines if line.startswith(Fate.SURVIVED)]
    assert survived == ["survived rule.py:4 <= is < in `a <= b`"]
    assert (figures["survived"], figures["timed_out"], figures["killed"]) == (1, 2, 5)
    assert figures["score"] == 87.5
    assert (small_tree / "rule.py").read_text() == before
    assert command.main(["--at-least", "10", "--sample", "2", "--json"]) == command.STRONG


def test_tests_that_fail_as_they_are_measure_nothing(small_tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (small_tree / "test_rule.py").write_text("def test_it():\n    assert False\n")
    assert command.main(["--jobs", "1"]) == command.UNUSABLE
    assert "do not pass as they are" in capsys.readouterr().err
