"""What is mutated and which tests have to notice: each module with its own tests, those most about it first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_DOMAIN, _RISK = "engine_service/domain", "engine_service/risk"
_GATE = ("risk/test_rails.py", "risk/test_pace.py")
_ORDER = ("domain/test_order_changes.py", "domain/test_order_fsm.py", "domain/test_state.py")
_BOOKS = ("domain/test_cost_book.py", "domain/test_portfolio.py", "domain/test_state.py", "domain/test_apply_unit.py")

#: Group, module, and the tests of it under tests/unit/engine_service.
_MAP: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "rails": {
        f"{_RISK}/gate.py": _GATE,
        f"{_RISK}/checks.py": ("risk/test_rail_edges.py", "risk/test_rail_money.py", "risk/test_rails.py"),
        f"{_RISK}/permissions.py": ("risk/test_pace.py", "risk/test_rails.py"),
        f"{_RISK}/breakers.py": ("risk/test_breakers.py", "risk/test_rails.py"),
        f"{_RISK}/reservations.py": ("risk/test_rail_money.py", "risk/test_rails.py"),
        f"{_RISK}/context.py": ("risk/test_rail_money.py", "risk/test_rail_edges.py", "risk/test_rails.py"),
        f"{_RISK}/legs.py": ("risk/test_legs.py",),
        f"{_RISK}/policy.py": ("risk/test_policy.py",),
        f"{_RISK}/measures.py": ("risk/test_measures.py",),
    },
    "state_machine": {
        f"{_DOMAIN}/order_fsm.py": ("domain/test_order_fsm.py",),
        f"{_DOMAIN}/order_changes.py": (*_ORDER, "execution/test_found_by_simulation.py"),
        f"{_DOMAIN}/order_status.py": _ORDER,
        f"{_DOMAIN}/order.py": _ORDER,
        "engine_service/execution/whole_fill.py": ("execution/test_whole_fill.py",),
    },
    "ledger": {
        f"{_DOMAIN}/portfolio.py": _BOOKS,
        f"{_DOMAIN}/cost_book.py": _BOOKS,
        f"{_DOMAIN}/exposure.py": ("domain/test_exposure.py", "domain/test_state.py"),
        f"{_DOMAIN}/exposure_lines.py": ("domain/test_exposure.py", "domain/test_state.py"),
        f"{_DOMAIN}/apply.py": ("domain/test_apply.py", "domain/test_state.py", "domain/test_apply_unit.py"),
        f"{_DOMAIN}/apply_unit.py": ("domain/test_apply_unit.py",),
        f"{_DOMAIN}/state.py": ("domain/test_apply.py", "domain/test_state.py", "domain/test_exposure.py"),
        f"{_DOMAIN}/marks.py": ("domain/test_marks.py",),
        f"{_DOMAIN}/money.py": ("domain/test_money.py",),
    },
    "idempotency": {
        "engine_service/storage/idempotency.py": ("storage/test_idempotency.py",),
        "engine_service/storage/known_keys.py": ("storage/test_known_keys.py", "storage/test_idempotency.py"),
        "engine_service/execution/same_key.py": ("execution/test_same_key.py", "api/test_once.py"),
        "engine_service/api/once.py": ("api/test_once.py",),
        f"{_DOMAIN}/ids.py": ("domain/test_ids.py",),
    },
}


@dataclass(frozen=True, slots=True)
class Target:
    """A source file, and the test paths that are run against its mutants."""

    group: str
    path: str
    tests: tuple[str, ...]


TARGETS: Final[tuple[Target, ...]] = tuple(
    Target(group, path, tuple(f"tests/unit/engine_service/{test}" for test in tests))
    for group, modules in _MAP.items()
    for path, tests in modules.items()
)


def chosen(names: list[str]) -> list[Target]:
    """Return the targets of a group, or of files by path or bare name; all of them where no name is given.

    Raises:
        ValueError: a name that is neither.
    """
    found = [target for target in TARGETS if not names or _is_named(target, names)]
    known = {name for name in names for target in found if _is_named(target, [name])}
    if unknown := sorted(set(names) - known):
        raise ValueError(f"{unknown[0]} is no group ({', '.join(_MAP)}) and no module of one")
    return found


def _is_named(target: Target, names: list[str]) -> bool:
    return any(name in {target.group, target.path, target.path.rpartition("/")[2][:-3]} for name in names)
