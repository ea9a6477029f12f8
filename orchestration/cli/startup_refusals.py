"""Why an engine refuses to start, by code, and what a person does about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_RESTORE: Final = (
    "Stop; look at the account at the venue first. Bring the newest backup of the data folder back, and let the start "
    "compare it with the venue; nhmm audit verify says where the damage begins. Never edit the journal."
)

#: One entry for every code that a start can end with.
WAYS_OUT: Final[Mapping[str, str]] = {
    "CONFIG_INVALID": "Mend the named file, variable or flag; nhmm config check reads them all again.",
    "ENGINE_RUNNING": "Stop the other engine first: one engine to a data folder and to a venue account.",
    "JOURNAL_CORRUPT": _RESTORE,
    "JOURNAL_MISSING": _RESTORE,
    "JOURNAL_TOO_NEW": "Start the newer version that wrote it; there is no way back to an older one.",
    "JOURNAL_UNSAFE": "SQLite or the file system refuses a setting that safety rests on: use a local disk.",
    "KEY_EXPOSED": "Run the chmod that the message names. If others may have read the key, begin a new data folder.",
    "KEY_INVALID": "Bring the key file back from the backup; without it the journal cannot be checked or continued.",
    "KEY_MISSING": "Bring the named file back from the backup; it is not made anew for a journal that exists.",
    "TOKEN_FILE_INVALID": "Remove the file: the next start makes new tokens, and every caller needs the new ones.",
    "TOKEN_FILE_MISSING": "Start the trading engine on this folder once; it makes the tokens that the exporter reads.",
    "TOKEN_FILE_OPEN": "Run the chmod that the message names; remove the file instead if others may have read it.",
    "TOKEN_WEAK": "Remove the file: the next start makes tokens that cannot be guessed.",
    "VENUE_KEYS_MISSING": "Set BINANCE_API_KEY and BINANCE_API_SECRET, or their ..._FILE; or take --venue paper.",
    "VENUE_KEY_CAN_WITHDRAW": "At the venue, take the right to withdraw from the key, and bind it to your address.",
    "VENUE_KEY_INVALID": "Give the HMAC secret as it is, or an Ed25519 private key in PEM; no certificate.",
    "VENUE_UNREACHABLE": "Is the venue up, and --venue-url right? The engine may be started again at any time.",
    "VENUE_URL_INVALID": "Write --venue-url as http://HOST:PORT of a venue that serves REST and streams there.",
}


def way_out(code: str) -> str:
    """Return what to do about a refusal, empty for a code that no start has."""
    return WAYS_OUT.get(code, "")
