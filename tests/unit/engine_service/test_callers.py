"""Named callers: kept as digests, let in from when until when, revoked while the engine runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine_service.api.callers import DAY_MS, LOOK_EVERY_S, CallerFile, issue, read, revoke
from engine_service.api.grants import Scope
from engine_service.api.tokens import TokenBook
from engine_service.domain.errors import ConfigurationError

NOW_MS = 1_760_000_000_000


def book(path: Path, now_ms: int = NOW_MS) -> TokenBook:
    return TokenBook({"read": "r" * 40, "trade": "t" * 40, "admin": "a" * 40}, CallerFile(path, lambda: now_ms))


def test_the_token_is_shown_once_and_kept_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "callers.json"
    token = issue(path, "night-desk", "trade", 30, NOW_MS)
    assert len(token) >= 43
    assert token not in path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o777 == 0o600
    found = book(path).identify(token)
    assert found is not None
    assert (found.name, found.scopes) == ("night-desk", frozenset({Scope.READ, Scope.TRADE}))
    assert book(path).identify(token[:-1] + "_") is None


def test_it_counts_from_its_first_to_its_last_moment(tmp_path: Path) -> None:
    path = tmp_path / "callers.json"
    token = issue(path, "night-desk", "read", 1, NOW_MS)
    known = [book(path, NOW_MS + shift).identify(token) is not None for shift in (-1, 0, DAY_MS - 1, DAY_MS)]
    assert known == [False, True, True, False]


def test_a_new_token_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "callers.json"
    old = issue(path, "night-desk", "read", 0, NOW_MS)
    new = issue(path, "night-desk", "admin", 0, NOW_MS)
    assert book(path).identify(old) is None
    assert book(path).identify(new) is not None
    assert [caller.name for caller in read(path)] == ["night-desk"]


def test_who_is_revoked_holds_nothing_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "callers.json"
    token = issue(path, "night-desk", "read", 0, NOW_MS)
    tokens = book(path)
    principal = tokens.identify(token)
    assert principal is not None
    assert tokens.still_holds(principal)
    assert revoke(path, "night-desk")
    assert not revoke(path, "night-desk")
    time_s = [0.0]
    monkeypatch.setattr("engine_service.api.callers.time.monotonic", lambda: time_s[0] + 1e9)
    time_s[0] = LOOK_EVERY_S
    assert not tokens.still_holds(principal)
    assert tokens.identify(token) is None
    own = tokens.identify("r" * 40)
    assert own is not None
    assert tokens.still_holds(own)


@pytest.mark.parametrize("name", ["admin", "read", "Night", "x", "a b", "../x", "a" * 33])
def test_a_name_is_a_plain_word_and_nobody_elses(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError):
        issue(tmp_path / "callers.json", name, "read", 0, NOW_MS)


@pytest.mark.parametrize("text", ["{", "{}", "[1]", '[{"name":"x"}]', "null", '[{"name":"admin","sha256":"00"}]'])
def test_a_file_that_is_not_ours_lets_nobody_in(tmp_path: Path, text: str) -> None:
    path = tmp_path / "callers.json"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(ConfigurationError):
        read(path)
    assert book(path).identify("anything at all that is long enough") is None


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "callers.json"
    token = issue(path, "night-desk", "read", 0, NOW_MS)
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="TOKEN_FILE_OPEN"):
        read(path)
    assert book(path).identify(token) is None
