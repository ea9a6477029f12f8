"""What an API key may do. An engine that can be robbed of its key must not be able to lose the money with it."""

from __future__ import annotations

from engine_service.venues.binance.outcomes import Failure
from engine_service.venues.binance.parse import read_answer
from engine_service.venues.binance.rest import NoAnswer, NotSent, RestClient
from engine_service.venues.binance.session import BinanceSession

_PATH = "/sapi/v1/account/apiRestrictions"


async def key_can_withdraw(session: BinanceSession) -> bool | None:
    """Tell whether the session's key may withdraw; ``None`` where the venue does not say (test nets)."""
    base = session.hosts.permissions_rest
    if not base or session.signer is None:
        return None
    client = RestClient(base, api_key=session.signer.api_key)
    try:
        answer = await client.send("GET", _PATH, session.sign({}))
    except (NotSent, NoAnswer):
        return None
    finally:
        await client.close()
    body = read_answer(answer.status, answer.body, session.market)
    if isinstance(body, Failure) or not isinstance(body, dict):
        return None
    allowed = body.get("enableWithdrawals")
    return allowed if isinstance(allowed, bool) else None
