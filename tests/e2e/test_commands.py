"""Every word of ``nhmm``: what it prints, where, and its exit code."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine_service.domain.state import Halt
from engine_service.storage.halt_note import HaltNote
from orchestration.cli.layout import Exit
from tests.e2e.command_line import ROOT, Running, run
from tests.integration.simulated_exchange import free_port

WORDS = (
    *("demo", "up", "engine", "exchange", "dagster", "backfill", "train", "evaluate", "promote"),
    *("reconcile", "audit", "replay", "doctor", "config"),
)
KEYS = {"BINANCE_API_KEY": "demo", "BINANCE_API_SECRET": "demo-secret"}


@dataclass(frozen=True)
class Platform:
    """Exchange and engine, started by their commands. ``home`` is the engine's data folder."""

    home: Path
    exchange: Running
    engine: Running
    exchange_url: str
    engine_url: str

    def ask(self, *words: str) -> list[str]:
        """Return a command with the options that lead to this engine."""
        return [*words, "--home", str(self.home), "--engine-url", self.engine_url]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("platform")
    exchange = Running(folder, "exchange", "--port", str(free_port()), "--history", "10m")
    exchange_url = exchange.line().removeprefix("ready ")
    engine = Running(
        folder,
        *("engine", "--home", str(folder / "home"), "--port", str(free_port()), "--venue", "binance"),
        *("--venue-url", exchange_url, "--interval", "1s", "--strategies", "off"),
        env=KEYS,
    )
    engine_url = engine.line().removeprefix("ready ")
    yield Platform(folder / "home", exchange, engine, exchange_url, engine_url)
    engine.end()
    exchange.end()


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A copy of the configuration, to be spoilt."""
    return Path(shutil.copytree(ROOT / "config", tmp_path / "config"))


def spoil(config: Path, file: str, key: str, value: str) -> None:
    path = config / file
    text, count = re.subn(rf"(?m)^(\s*){key}:.*$", rf"\g<1>{key}: {value}", path.read_text(encoding="utf-8"))
    assert count
    path.write_text(text, encoding="utf-8")


# --- help and usage ---------------------------------------------------------------------------------------------


def test_help_names_every_word(tmp_path: Path) -> None:
    done = run(tmp_path, "--help")
    assert done.returncode == Exit.OK
    listed = re.findall(r"^│ (\w+)  ", done.stdout, re.MULTILINE)
    assert [word for word in WORDS if word not in listed] == []


@pytest.mark.parametrize("word", WORDS)
def test_every_word_explains_itself(tmp_path: Path, word: str) -> None:
    done = run(tmp_path, word, "--help")
    assert done.returncode == Exit.OK
    assert re.search(rf"[Uu]sage: nhmm {word}", done.stdout)
    assert done.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("nosuchword",),
        ("demo", "--seconds", "1"),
        ("demo", "--bars", "/nowhere.parquet"),
        ("up", "--web-port", "0"),
        ("risk", "set"),
        ("risk", "set", "order_rate_per_min"),
        ("backfill", "--from", "yesterday"),
        ("backfill", "--from", "2026-03-02", "--to", "2026-03-01"),
        ("engine", "--nosuchflag"),
        ("engine", "--port", "many"),
        ("exchange", "--nosuchflag"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == Exit.USAGE
    assert "Traceback" not in done.stderr


# --- configuration ----------------------------------------------------------------------------------------------


def test_the_configuration_that_ships_is_valid(tmp_path: Path) -> None:
    done = run(tmp_path, "config", "check")
    assert (done.returncode, done.stdout) == (Exit.OK, "configuration ok\n")


@pytest.mark.parametrize(
    ("file", "key", "value", "range_words"),
    [
        ("risk.yaml", "max_notional", "-1", "0 to 1000000000000"),
        ("engine.yaml", "port", "99999", "65535"),
        ("backfill.yaml", "parallel", "99", "32"),
        ("strategies.yaml", "fast", "many", ""),
    ],
)
def test_a_wrong_value_in_a_file_is_named_with_what_is_allowed(
    tmp_path: Path, config: Path, file: str, key: str, value: str, range_words: str
) -> None:
    spoil(config, file, key, value)
    done = run(tmp_path, "config", "check", "--config", str(config))
    assert done.returncode == Exit.CONFIGURATION
    assert len(done.stderr.splitlines()) == 1
    for words in (file, key, value, range_words):
        assert words in done.stderr


@pytest.mark.parametrize(
    ("variable", "value"), [("NHMM_PORT", "99999"), ("NHMM_BAR_INTERVAL", "2s"), ("NHMM_VENUE_URL", "exchange")]
)
def test_a_wrong_variable_is_named(tmp_path: Path, variable: str, value: str) -> None:
    done = run(tmp_path, "config", "check", env={variable: value})
    assert done.returncode == Exit.CONFIGURATION
    assert value in done.stderr
    assert variable.removeprefix("NHMM_").lower() in done.stderr.lower()


@pytest.mark.parametrize("word", ["up", "demo", "engine"])
def test_nothing_is_started_with_a_wrong_configuration(tmp_path: Path, config: Path, word: str) -> None:
    spoil(config, "risk.yaml", "max_notional", "-1")
    done = run(tmp_path, word, "--home", str(tmp_path / "home"), env={"NHMM_CONFIG": str(config)})
    assert done.returncode == Exit.CONFIGURATION
    assert "max_notional" in done.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("word", ["train", "dagster"])
def test_research_commands_check_their_part_first(tmp_path: Path, config: Path, word: str) -> None:
    spoil(config, "training.yaml", "min_bars", "1")
    done = run(tmp_path, word, "--home", str(tmp_path / "home"), env={"NHMM_CONFIG": str(config)})
    assert done.returncode == Exit.CONFIGURATION
    assert "training.yaml: min_bars = 1" in done.stderr
    assert not (tmp_path / "home").exists()


def test_config_show_prints_the_files_in_force(tmp_path: Path, config: Path) -> None:
    spoil(config, "risk.yaml", "max_notional", "123")
    done = run(tmp_path, "config", "show", "--config", str(config))
    assert done.returncode == Exit.OK
    assert "max_notional: 123" in done.stdout


# --- nothing runs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [("reconcile",), ("risk", "show"), ("risk", "set", "max_notional=1"), ("config", "scrape-token")]
)
def test_without_an_engine_it_is_3_and_one_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run(tmp_path, *words, "--home", str(tmp_path))
    assert (done.returncode, done.stdout) == (Exit.NOT_RUNNING, "")
    assert re.fullmatch(r"nhmm: no engine has run on .*; start one: nhmm up\n", done.stderr)


def test_an_engine_that_does_not_answer_is_3_and_one_line(tmp_path: Path, platform: Platform) -> None:
    silent = f"http://127.0.0.1:{free_port()}"
    done = run(tmp_path, "risk", "show", "--home", str(platform.home), "--engine-url", silent)
    assert done.returncode == Exit.NOT_RUNNING
    assert len(done.stderr.splitlines()) == 1
    assert silent in done.stderr


def test_a_data_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run(tmp_path, "train", "--home", str(tmp_path / "file" / "data"))
    assert done.returncode == Exit.FAILED
    assert re.fullmatch(r"nhmm: .*/file/data cannot be written: .*; choose another: --home DIR\n", done.stderr)


@pytest.mark.parametrize("word", ["engine", "exchange"])
def test_a_taken_port_is_1_and_one_line(tmp_path: Path, taken_port: int, word: str) -> None:
    more = ["--home", str(tmp_path / "home")] if word == "engine" else []
    done = run(tmp_path, word, "--port", str(taken_port), *more)
    assert (done.returncode, done.stdout) == (Exit.FAILED, "")
    assert len(done.stderr.splitlines()) == 1
    assert str(taken_port) in done.stderr


def test_up_names_the_taken_port_before_it_starts_anything(tmp_path: Path, taken_port: int) -> None:
    free = [word for name in ("exchange", "web", "code-server") for word in (f"--{name}-port", str(free_port()))]
    done = run(tmp_path, "up", "--home", str(tmp_path / "home"), "--engine-port", str(taken_port), *free)
    assert (done.returncode, done.stdout) == (Exit.FAILED, "")
    assert f"port {taken_port} is in use" in done.stderr
    assert not (tmp_path / "home").exists()


# --- doctor -----------------------------------------------------------------------------------------------------


def test_doctor_is_content_with_a_healthy_machine(tmp_path: Path) -> None:
    done = run(tmp_path, "doctor", "--home", str(tmp_path))
    assert done.returncode == Exit.OK
    for check in ("Python", "packages", "disk", "clock", "port 8003", "tokens", "configuration", "start"):
        assert f" {check}: " in done.stdout


def test_doctor_says_how_to_mend_open_tokens(tmp_path: Path) -> None:
    tokens = tmp_path / "engine" / "tokens.json"
    tokens.parent.mkdir()
    tokens.touch(mode=0o644)
    done = run(tmp_path, "doctor", "--home", str(tmp_path))
    assert done.returncode == Exit.FAILED
    assert "fail  tokens:" in done.stdout
    assert f"Run: chmod 600 {tokens}" in done.stdout


def test_doctor_knows_that_a_venue_without_keys_would_not_be_traded_on(tmp_path: Path) -> None:
    no_keys = {"NHMM_VENUE": "binance", "BINANCE_API_KEY": "", "BINANCE_API_SECRET": ""}
    done = run(tmp_path, "doctor", "--home", str(tmp_path), env=no_keys)
    assert done.returncode == Exit.FAILED
    assert "fail  start: VENUE_KEYS_MISSING: " in done.stdout


def test_doctor_names_the_wrong_key(tmp_path: Path, config: Path) -> None:
    spoil(config, "universe.yaml", "max_active", "0")
    done = run(tmp_path, "doctor", "--home", str(tmp_path), env={"NHMM_CONFIG": str(config)})
    assert done.returncode == Exit.FAILED
    assert "fail  configuration:" in done.stdout
    assert "max_active = 0" in done.stdout


def test_doctor_explains_why_an_engine_would_not_start(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "engine").mkdir(parents=True)
    (home / "engine" / "journal.sqlite3").write_bytes(b"not a database at all, whatever its name says" * 200)
    done = run(tmp_path, "doctor", "--home", str(home))
    assert done.returncode == Exit.FAILED
    assert "fail  start: JOURNAL_CORRUPT: " in done.stdout
    assert "Bring the newest backup" in done.stdout
    assert sorted(path.name for path in (home / "engine").iterdir()) == ["journal.sqlite3"]


def test_doctor_and_config_check_name_a_mistyped_variable(tmp_path: Path) -> None:
    mistyped = {"NHMM_VENU": "binance"}
    done = run(tmp_path, "doctor", "--home", str(tmp_path), env=mistyped)
    assert done.returncode == Exit.OK
    assert "warn  variables: NHMM_VENU is not read by anything; NHMM_VENUE is meant?" in done.stdout
    done = run(tmp_path, "config", "check", env=mistyped)
    assert (done.returncode, done.stderr) == (
        Exit.OK,
        "nhmm: warning: NHMM_VENU is not read by anything; NHMM_VENUE is meant?\n",
    )


def test_doctor_tells_of_a_halt_that_the_journal_could_not_take(tmp_path: Path) -> None:
    note = HaltNote(tmp_path / "engine" / "halt.note")
    note.prepare()
    note.keep(Halt(reason="drill", principal="me", at_ms=1_700_000_000_000))
    done = run(tmp_path, "doctor", "--home", str(tmp_path))
    assert done.returncode == Exit.OK
    assert "warn  halt: drill (halted at 2023-11-14 22:13:20 UTC" in " ".join(done.stdout.split("\n"))
    assert "POST /control/resume" in done.stdout
    assert note.read() is not None


def test_doctor_sees_a_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", 8010))
            listener.listen()
        except OSError:
            pass  # something else listens there: in use all the same
        done = run(tmp_path, "doctor", "--home", str(tmp_path))
    assert "warn  port 8010: in use" in done.stdout


# --- with a running engine --------------------------------------------------------------------------------------


def test_risk_set_changes_what_risk_show_prints(tmp_path: Path, platform: Platform) -> None:
    done = run(tmp_path, *platform.ask("risk", "set", "order_rate_per_min=100000", "max_notional=555"))
    assert done.returncode == Exit.OK, done.stderr
    shown = run(tmp_path, *platform.ask("risk", "show"))
    assert shown.returncode == Exit.OK
    assert re.search(r"order_rate_per_min\s+│ 100000\s", shown.stdout)
    assert re.search(r"max_notional\s+│ 555\s", shown.stdout)


@pytest.mark.parametrize(("change", "code"), [("max_notional=-1", "RAIL_RANGE"), ("nosuch=1", "FIELD_UNKNOWN")])
def test_a_limit_that_is_refused_is_1_with_the_engines_words(
    tmp_path: Path, platform: Platform, change: str, code: str
) -> None:
    done = run(tmp_path, *platform.ask("risk", "set", change))
    assert done.returncode == Exit.FAILED
    assert code in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_reconcile_finds_no_breaks(tmp_path: Path, platform: Platform) -> None:
    done = run(tmp_path, *platform.ask("reconcile", "--json"))
    assert done.returncode == Exit.OK
    assert json.loads(done.stdout.splitlines()[-1])["breaks"] == []


def test_reconcile_prints_a_table_for_people(tmp_path: Path, platform: Platform) -> None:
    done = run(tmp_path, *platform.ask("reconcile"))
    assert done.returncode == Exit.OK
    assert "Reconciliation" in done.stdout


def test_audit_verify_proves_the_journal_of_a_running_engine(tmp_path: Path, platform: Platform) -> None:
    done = run(tmp_path, "audit", "verify", "--json", "--home", str(platform.home))
    verdict = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == Exit.OK, verdict
    assert verdict["events"] > 0
    assert verdict["first_bad"] is None


def test_an_edited_event_is_found_and_named(tmp_path: Path, platform: Platform) -> None:
    copy = tmp_path / "home"
    shutil.copytree(platform.home, copy)
    with sqlite3.connect(copy / "engine" / "journal.sqlite3") as journal:
        for (trigger,) in journal.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            journal.execute(f'DROP TRIGGER "{trigger}"')
        journal.execute("UPDATE events SET at_ms = at_ms + 1 WHERE seq = 2")
    done = run(tmp_path, "audit", "verify", "--json", "--home", str(copy))
    assert done.returncode == Exit.FAILED
    assert json.loads(done.stdout.splitlines()[-1])["first_bad"] == 2


def test_scrape_token_writes_the_read_token_alone(tmp_path: Path, platform: Platform) -> None:
    done = run(tmp_path, "config", "scrape-token", "--home", str(platform.home))
    path = Path(done.stdout.strip())
    tokens = json.loads((platform.home / "engine" / "tokens.json").read_text(encoding="utf-8"))
    assert path.read_text(encoding="utf-8") == tokens["read"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_second_engine_on_the_same_folder_is_refused_in_one_line(tmp_path: Path, platform: Platform) -> None:
    more = ["--venue", "binance", "--venue-url", platform.exchange_url]
    done = run(tmp_path, "engine", "--home", str(platform.home), "--port", str(free_port()), *more, env=KEYS)
    assert done.returncode not in (Exit.OK, Exit.USAGE)
    assert done.stdout == ""
    assert "ENGINE_RUNNING" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_venue_that_is_not_there_is_1(tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    arguments = ["--port", str(free_port()), "--venue", "binance", "--venue-url", nowhere]
    done = run(tmp_path, "engine", "--home", str(tmp_path / "home"), *arguments, env=KEYS)
    assert (done.returncode, done.stdout) == (Exit.FAILED, "")
    assert re.search(r"(?m)^engine: .*(venue|VENUE)", done.stderr)
    assert "Traceback" not in done.stderr


# --- the processes' own interface -------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_exchange_and_engine_say_ready_log_apart_and_end_with_0(tmp_path: Path, number: signal.Signals) -> None:
    port = free_port()
    exchange = Running(tmp_path, "exchange", "--port", str(port), "--history", "2m")
    assert exchange.line() == f"ready http://127.0.0.1:{port}"
    engine_port = free_port()
    engine = Running(
        tmp_path,
        *("engine", "--home", str(tmp_path / "home"), "--port", str(engine_port), "--venue", "binance"),
        *("--venue-url", f"http://127.0.0.1:{port}", "--interval", "1s"),
        env=KEYS,
    )
    assert engine.line() == f"ready http://127.0.0.1:{engine_port}"
    for running in (engine, exchange):
        assert running.end(number) == Exit.OK
        assert running.rest() == ""
        logged = running.log.read_text(encoding="utf-8").splitlines()
        assert logged
        assert all(isinstance(json.loads(line), dict) for line in logged)


@pytest.mark.parametrize(
    ("words", "code", "way_out"),
    [
        (("train",), 1, "nhmm backfill"),
        (("evaluate",), 1, "nhmm train"),
        (("promote",), 3, "nhmm up"),
        (("rollback", "--reason", "because"), 3, "nhmm up"),
    ],
)
def test_on_an_empty_home_a_research_command_ends_in_one_line_with_a_way_out(
    tmp_path: Path, words: tuple[str, ...], code: int, way_out: str
) -> None:
    done = run(tmp_path, *words, "--home", str(tmp_path / "data"))
    assert done.returncode == code, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("nhmm: ") and way_out in last, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert Path(last.rpartition("everything it said: ")[2]).read_text(encoding="utf-8")
