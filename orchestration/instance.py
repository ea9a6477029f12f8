"""Dagster's own configuration file, written into the data folder: the instance follows the data."""

import os
from pathlib import Path
from typing import Any

import yaml

MAX_RUNS = 3
MAX_RUNTIME_S = 14_400


def write_instance_config(home: Path) -> Path:
    """Write ``dagster/dagster.yaml`` below the data folder unless it says so already; return its folder."""
    folder = (home / "dagster").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(instance_config(folder), sort_keys=False)
    path = folder / "dagster.yaml"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        temporary = folder / f".dagster.yaml.{os.getpid()}"
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    return folder


def prepare_instance(home: Path) -> list[str]:
    """Make the instance ready for its processes; return the ids of runs that a crash had left unfinished.

    Call it before code server, webserver and daemon start, and only then: their databases are made here by one
    process (three at once would trip over each other's schema), and a run that is under way now has no process.
    """
    import dagster as dg  # noqa: PLC0415  # seconds to load, and writing the file does not need it

    from orchestration.retention import fail_orphans  # noqa: PLC0415  # as above

    folder = write_instance_config(home)
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        return fail_orphans(instance)


def instance_config(folder: Path) -> dict[str, Any]:
    """Return the instance's settings: SQLite here, few runs at once, a slot freed when a run dies."""
    return {
        "telemetry": {"enabled": False},
        "storage": {"sqlite": {"base_dir": str(folder / "storage")}},
        "compute_logs": {
            "module": "dagster.core.storage.local_compute_log_manager",
            "class": "LocalComputeLogManager",
            "config": {"base_dir": str(folder / "logs")},
        },
        "local_artifact_storage": {
            "module": "dagster.core.storage.root",
            "class": "LocalArtifactStorage",
            "config": {"base_dir": str(folder / "storage")},
        },
        "run_coordinator": {
            "module": "dagster.core.run_coordinator",
            "class": "QueuedRunCoordinator",
            "config": {"dequeue_interval_seconds": 1},
        },
        "concurrency": {
            "runs": {"max_concurrent_runs": MAX_RUNS},
            "pools": {"default_limit": 1, "granularity": "op"},
        },
        "run_monitoring": {
            "enabled": True,
            "start_timeout_seconds": 60,
            "max_runtime_seconds": MAX_RUNTIME_S,
            "poll_interval_seconds": 5,
            "free_slots_after_run_end_seconds": 10,
        },
        "sensors": {"use_threads": True, "num_workers": 2},
        "schedules": {"use_threads": True, "num_workers": 2},
        "retention": {
            "sensor": {"purge_after_days": {"skipped": 2, "failure": 30, "success": -1}},
            "schedule": {"purge_after_days": 30},
        },
        "nux": {"enabled": False},
    }
