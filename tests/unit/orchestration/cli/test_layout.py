"""One data folder, one set of ports."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.cli.layout import HOST, Exit, Home, Ports, choose_port, port_is_free


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def test_exit_codes_are_the_documented_ones() -> None:
    assert [(code.name, code.value) for code in Exit] == [
        ("OK", 0),
        ("FAILED", 1),
        ("USAGE", 2),
        ("NOT_RUNNING", 3),
        ("CONFIGURATION", 4),
    ]


def test_documented_ports_are_the_defaults() -> None:
    assert Ports() == Ports(exchange=8010, engine=8003, web=3000, code_server=4266)


def test_the_folder_given_beats_the_variable_which_beats_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NHMM_HOME", raising=False)
    assert Home.resolve().path == tmp_path / "data"
    monkeypatch.setenv("NHMM_HOME", "elsewhere")
    assert Home.resolve().path == tmp_path / "elsewhere"
    assert Home.resolve(Path("given")).path == tmp_path / "given"


def test_a_folder_is_absolute_before_any_process_starts_elsewhere(tmp_path: Path) -> None:
    assert Home.resolve(Path("~/x")).path.is_absolute()
    assert Home.resolve(tmp_path / "a" / ".." / "b").tokens == tmp_path / "b" / "engine" / "tokens.json"


def test_a_port_that_is_listened_on_is_not_free(taken: int) -> None:
    assert not port_is_free(taken)


def test_a_taken_port_is_replaced_by_a_free_one(taken: int) -> None:
    chosen = choose_port(taken)
    assert chosen != taken
    assert port_is_free(chosen)


def test_a_free_port_is_kept(taken: int) -> None:
    other = choose_port(taken)
    assert choose_port(other) == other
