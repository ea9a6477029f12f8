"""The `/_sim` routes: what only an operator or a test may see and do. Never under the venue's own paths."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Self

from fastapi import APIRouter, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.errors import ExchangeError
from engine_service.exchange_sim.exchange import Exchange
from engine_service.exchange_sim.faults import Fault, FaultKind
from engine_service.exchange_sim.ledger_report import Row, ledger_report, text

_MAX_DELAY_MS = 600_000
_MAX_SKEW_MS = 7 * 24 * 3600 * 1000
_NEEDS_DELAY = (FaultKind.DELAY, FaultKind.DELAY_ANSWER)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class FaultBody(_Body):
    """A fault to set: the fields of `faults.Fault`."""

    kind: FaultKind
    path: str = ""
    method: str = ""
    symbol: str = ""
    market: Market | None = None
    account: str = ""
    event: str = ""
    stream: Annotated[str, Field(pattern="^(|public|user)$")] = ""
    probability: Annotated[float, Field(gt=0, le=1)] = 1.0
    count: Annotated[int | None, Field(ge=1)] = None
    delay_ms: Annotated[int | None, Field(ge=0, le=_MAX_DELAY_MS)] = None
    http_status: Annotated[int | None, Field(ge=400, le=599)] = None
    code: Annotated[int | None, Field(lt=0)] = None
    message: str | None = None
    retry_after_s: Annotated[int | None, Field(ge=0)] = None
    skew_ms: Annotated[int, Field(ge=-_MAX_SKEW_MS, le=_MAX_SKEW_MS)] = 0

    @model_validator(mode="after")
    def _has_its_fields(self) -> Self:
        if self.kind in _NEEDS_DELAY and self.delay_ms is None:
            raise ValueError(f"{self.kind} needs delay_ms")
        if self.kind is FaultKind.CLOCK_SKEW and not self.skew_ms:
            raise ValueError("clock_skew needs skew_ms other than 0")
        return self

    def to_fault(self) -> Fault:
        fields = self.model_dump()
        return Fault(**{**fields, "market": self.market or ""})


class MarketBody(_Body):
    """What to do to the market; every field may stand alone.

    `jump` is a fraction of the price (0.05 is 5 % up) of `symbol`, or of all; `freeze` stops and starts all prices;
    `volatility` multiplies every move from now on (1 as it was). `tick_size` and `step_size` are published
    for `symbol` on both markets and asked of new orders from now on.
    """

    symbol: str = ""
    jump: Annotated[float | None, Field(gt=-0.99, le=10)] = None
    freeze: bool | None = None
    volatility: Annotated[float | None, Field(ge=0, le=20)] = None
    tick_size: Annotated[Decimal | None, Field(gt=0)] = None
    step_size: Annotated[Decimal | None, Field(gt=0)] = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        said = (self.jump, self.freeze, self.volatility, self.tick_size, self.step_size)
        if all(one is None for one in said):
            raise ValueError("one of jump, freeze, volatility, tick_size, step_size is needed")
        if not self.symbol and (self.tick_size or self.step_size):
            raise ValueError("tick_size and step_size are those of a symbol")
        return self


class DepositBody(_Body):
    """Money in, or out where `amount` is negative."""

    account: str
    market: Market
    asset: Annotated[str, Field(pattern="^[A-Z0-9]{2,12}$")]
    amount: Annotated[Decimal, Field(max_digits=24, decimal_places=8)]


def make_admin_router(exchange: Exchange) -> APIRouter:
    """The admin routes over one exchange."""
    router = APIRouter(prefix="/_sim")
    _add_ledger(router, exchange)
    _add_faults(router, exchange)
    _add_market(router, exchange)
    return router


def _add_ledger(router: APIRouter, exchange: Exchange) -> None:
    @router.get("/ledger")
    async def ledger(account: str | None = None) -> JSONResponse:
        return JSONResponse(ledger_report(exchange, account))

    @router.post("/deposit")
    async def deposit(body: DepositBody) -> Row:
        if body.account not in {account.account_id for account in exchange.accounts.all()}:
            raise HTTPException(404, f"no account {body.account}")
        try:
            exchange.deposit(body.account, body.market, body.asset, body.amount)
        except ExchangeError as refusal:
            raise HTTPException(409, refusal.message) from refusal
        return {
            "account": body.account,
            "market": body.market.value,
            "asset": body.asset,
            "amount": text(body.amount),
        }


def _add_faults(router: APIRouter, exchange: Exchange) -> None:
    faults = exchange.faults

    @router.get("/faults")
    async def listed() -> dict[str, list[Fault]]:
        return {"faults": list(faults.listed())}

    @router.post("/faults", response_model=None)
    async def add(body: FaultBody | list[FaultBody]) -> Fault | dict[str, list[Fault]]:
        if isinstance(body, list):
            return {"faults": [faults.add(one.to_fault()) for one in body]}
        return faults.add(body.to_fault())

    @router.delete("/faults")
    async def clear() -> dict[str, int]:
        return {"cleared": faults.clear()}

    @router.delete("/faults/{fault_id}")
    async def remove(fault_id: int) -> dict[str, int]:
        if not faults.remove(fault_id):
            raise HTTPException(404, f"no fault {fault_id}")
        return {"cleared": 1}


def _add_market(router: APIRouter, exchange: Exchange) -> None:
    @router.post("/market")
    async def market(body: MarketBody) -> Row:
        known = {spec.symbol for spec in exchange.market_data.specs(Market.SPOT)}
        if body.symbol and body.symbol not in known:
            raise HTTPException(404, f"no symbol {body.symbol}")
        if body.jump is not None:
            exchange.market.jump(body.symbol, body.jump)
        if body.freeze is not None:
            exchange.market.is_frozen = body.freeze
        if body.volatility is not None:
            exchange.market.volatility_factor = body.volatility
        if body.tick_size or body.step_size:
            try:
                exchange.market_data.change_filters(body.symbol, body.tick_size, body.step_size)
            except ValueError as refusal:
                raise HTTPException(409, str(refusal)) from refusal
        return {"frozen": exchange.market.is_frozen, "volatility": exchange.market.volatility_factor}

    @router.get("/regimes")
    async def regimes(start_ms: int | None = None, end_ms: int | None = None) -> JSONResponse:
        names = exchange.market.regime_names
        return JSONResponse(
            [
                {"ts": point.ts, "regime": point.regime, "name": names[point.regime]}
                for point in exchange.regimes(start_ms, end_ms)
            ]
        )
