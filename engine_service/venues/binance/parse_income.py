"""The USD-M income history to the port's words, and which events of the stream announce something in it. Pure."""

from __future__ import annotations

from engine_service.domain.money_events import AdjustmentKind
from engine_service.venues.binance.parse import Payload, at_ms, decimal, identity, rows, symbol_key, text
from engine_service.venues.reports import FundingReport, IncomeReport

#: The income history's words and what they are to us. Trades and funding are booked by themselves; a transfer is told
#: by the stream without an id and else found as a difference, so that its row here would book it twice.
INCOME_KINDS: dict[str, AdjustmentKind] = {
    "COMMISSION_REBATE": AdjustmentKind.REBATE,
    "REFERRAL_KICKBACK": AdjustmentKind.REBATE,
    "API_REBATE": AdjustmentKind.REBATE,
    "FEE_RETURN": AdjustmentKind.REBATE,
    "WELCOME_BONUS": AdjustmentKind.BONUS,
    "CONTEST_REWARD": AdjustmentKind.BONUS,
    "BFUSD_REWARD": AdjustmentKind.BONUS,
    "INSURANCE_CLEAR": AdjustmentKind.INSURANCE,
    "AUTO_EXCHANGE": AdjustmentKind.CONVERSION,
    "COIN_SWAP_DEPOSIT": AdjustmentKind.CONVERSION,
    "COIN_SWAP_WITHDRAW": AdjustmentKind.CONVERSION,
}


def funding(payload: object) -> tuple[FundingReport, ...]:
    """Read funding rows of the income history.

    Raises:
        ParseError: a row cannot be read.
    """
    return tuple(
        FundingReport(
            symbol=symbol_key(row),
            asset=text(row, "asset"),
            amount=decimal(row, "income"),
            at_ms=at_ms(row, "time"),
            income_id=identity(row, "tranId"),
        )
        for row in rows(payload)
        if row.get("incomeType") == "FUNDING_FEE"
    )


def is_funding_event(payload: Payload) -> bool:
    """Tell whether ``ACCOUNT_UPDATE`` announces a funding payment."""
    change = payload.get("a")
    return isinstance(change, dict) and change.get("m") == "FUNDING_FEE"


def income(payload: object) -> tuple[IncomeReport, ...]:
    """Read rows of the income history that ``INCOME_KINDS`` names.

    Raises:
        ParseError: such a row cannot be read.
    """
    return tuple(
        IncomeReport(
            asset=text(row, "asset"),
            amount=decimal(row, "income"),
            kind=INCOME_KINDS[str(row.get("incomeType"))],
            at_ms=at_ms(row, "time"),
            # The venue's number is one of its own only within a type.
            income_id=f"{row['incomeType']}:{identity(row, 'tranId')}:{text(row, 'asset')}",
        )
        for row in rows(payload)
        if str(row.get("incomeType")) in INCOME_KINDS
    )


def is_income_event(payload: Payload) -> bool:
    """Tell whether ``ACCOUNT_UPDATE`` announces what the income history names."""
    change = payload.get("a")
    return isinstance(change, dict) and str(change.get("m")) in INCOME_KINDS
