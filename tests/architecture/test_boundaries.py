"""The rules of the house that the import contracts cannot say."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.sources import PACKAGES, sources

WEB_FRAMEWORK_HOMES = (
    "engine_service/main.py",
    "engine_service/api/",
    "engine_service/exchange_sim/binance_wire/",
    "governance/ops_api/",
)
TRAINING_HOMES = ("strategies/regimes/",)
PURE = ("strategies", "engine_service/domain", "engine_service/risk")
UNCLEAN = (
    "httpx",
    "requests",
    "fastapi",
    "starlette",
    "sqlite3",
    "duckdb",
    "asyncio",
    "logging",
    "structlog",
    "pydantic",
)
JOURNAL_LISTS = {"orders", "fills", "events_after", "equity_curve", "order_history"}
#: What stands before the dot where a list is not read aside; there the reader is a parameter, ``journal``.
JOURNAL_ITSELF = {"core.journal", "engine.core.journal", "self.engine.core.journal", "engine_of(request).core.journal"}
FORBIDDEN_CALLS = {"eval", "exec", "compile"}
FORBIDDEN_IMPORTS = ("pickle", "shelve", "marshal", "dill", "cloudpickle")


def test_the_web_framework_stays_at_the_edges() -> None:
    strays = [
        source.path
        for source in sources()
        if source.imports_any("fastapi") and not source.path.startswith(WEB_FRAMEWORK_HOMES)
    ]
    assert strays == []


def test_training_libraries_stay_where_models_are_trained() -> None:
    strays = [
        source.path
        for source in sources()
        if source.imports_any("hmmlearn", "sklearn") and not source.path.startswith(TRAINING_HOMES)
    ]
    assert strays == []


@pytest.mark.parametrize("folder", PURE)
def test_pure_code_touches_no_outside_world(folder: str) -> None:
    strays = {source.path for source in sources(folder) if source.imports_any(*UNCLEAN)}
    assert strays == set()


def test_package_markers_stay_empty() -> None:
    filled = [source.path for source in sources() if source.path.endswith("__init__.py") and source.text.strip()]
    assert filled == []


def test_nothing_is_pickled_or_evaluated() -> None:
    found = [source.path for source in sources() if source.imports_any(*FORBIDDEN_IMPORTS)]
    found += [
        f"{source.path}:{node.lineno}"
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS
    ]
    assert found == []


def test_yaml_is_never_loaded_unsafely() -> None:
    unsafe = [
        f"{source.path}:{node.lineno}"
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "yaml"
        and node.attr in {"load", "load_all", "unsafe_load", "full_load", "UnsafeLoader", "FullLoader", "Loader"}
    ]
    assert unsafe == []


def test_no_wait_loses_a_cancellation() -> None:
    # Up to Python 3.11 wait_for swallows a cancellation that comes together with the result: a stop would hang.
    lossy = [
        f"{source.path}:{node.lineno}"
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute)
        and node.attr == "wait_for"
        and isinstance(node.value, ast.Name)
        and node.value.id == "asyncio"
    ]
    assert lossy == []


def test_no_route_reads_a_list_of_the_journal_on_the_event_loop() -> None:
    found = [
        f"{source.path}:{node.lineno}"
        for source in sources("engine_service/api")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute) and node.attr in JOURNAL_LISTS and ast.unparse(node.value) in JOURNAL_ITSELF
    ]
    assert found == []


def test_postponed_annotations_stay_out_of_what_dagster_reads() -> None:
    # Dagster compares annotation objects; postponed ones are text and refuse to match.
    found = [
        source.path
        for source in sources("assets", "orchestration")
        if "from __future__ import annotations" in source.text and not source.path.startswith("orchestration/cli/")
    ]
    assert found == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        source.path
        for source in sources()
        if not source.path.endswith("__init__.py") and ast.get_docstring(source.tree) is None
    ]
    assert silent == []


def test_no_file_outgrows_its_reader() -> None:
    long = {source.path: lines for source in sources() if (lines := source.text.count("\n")) > 360}
    assert long == {}


def test_every_package_of_the_design_is_there() -> None:
    empty = [package for package in PACKAGES if not any(source.text.strip() for source in sources(package))]
    assert empty == []
