"""The universe asset: where every instrument stands, by the rule of ``strategies/universe.py``."""

import dagster as dg
import polars as pl

from assets.describe import OWNERS, Stopwatch, as_table, columns_of, table_facts
from assets.intervals import to_ms, utc
from assets.ports import Clock, MarketData
from assets.settings import ResearchSettings
from assets.tables import UNIVERSE, UNIVERSE_MOVES
from strategies.universe import Bucket, Listing, Membership, active, moves, scan
from warehouse.store import Warehouse


class UniverseEmpty(Exception):
    """No instrument is active: nothing can be collected or trained."""


@dg.asset(
    group_name="market_data",
    kinds={"python", "parquet"},
    owners=OWNERS,
    metadata=columns_of(UNIVERSE),
    retry_policy=dg.RetryPolicy(max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS),
)
def universe(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[ResearchSettings],
    warehouse: dg.ResourceParam[Warehouse],
    market_data: dg.ResourceParam[MarketData],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult[None]:
    """Instruments that may be collected, modelled and traded, each in a bucket with a reason and a date."""
    watch = Stopwatch()
    now_ms = clock.now_ms()
    before = stored_places(warehouse, settings.market)
    after = scan(before, listings(market_data, settings), settings.universe.policy(), now_ms)
    moved = moves(before, after)
    _store(warehouse, settings.market, after, moved, now_ms)
    counts = {bucket.value: sum(place.bucket is bucket for place in after.values()) for bucket in Bucket}
    context.log.info(f"{counts} after {len(moved)} moves")
    return dg.MaterializeResult(
        metadata={
            **table_facts(warehouse, UNIVERSE, watch, time_column="scanned_at"),
            **{name.lower(): count for name, count in counts.items()},
            "moves": as_table(
                [{"symbol": place.symbol, "bucket": place.bucket.value, "reason": place.reason} for place in moved]
            ),
            "active_symbols": ", ".join(active(after)) or "none",
        }
    )


def listings(market_data: MarketData, settings: ResearchSettings) -> list[Listing]:
    """Return what the venue lists, with its turnover; only the chosen symbols where some are chosen."""
    tickers = {ticker.symbol: ticker for ticker in market_data.tickers_24h()}
    found = []
    for instrument in market_data.instruments():
        ticker = tickers.get(instrument.symbol)
        if settings.symbols and instrument.symbol not in settings.symbols:
            continue
        found.append(
            Listing(
                symbol=instrument.symbol,
                base=instrument.base,
                quote=instrument.quote,
                trading=instrument.trading and ticker is not None,
                turnover_24h=float(ticker.quote_volume) if ticker else 0.0,
                last_price=float(ticker.last_price) if ticker else 0.0,
            )
        )
    return found


def stored_places(warehouse: Warehouse, market: str) -> dict[str, Membership]:
    """Return every instrument's stored place, by symbol."""
    rows = warehouse.reader(UNIVERSE).read(where=pl.col("market") == market)
    return {
        row["symbol"]: Membership(
            symbol=row["symbol"],
            bucket=Bucket(row["bucket"]),
            reason=row["reason"],
            since_ms=to_ms(row["since_at"]),
            first_seen_ms=to_ms(row["first_seen_at"]),
            clean_scans=row["clean_scans"],
            turnover_24h=row["turnover_24h"],
            last_price=row["last_price"],
        )
        for row in rows.iter_rows(named=True)
    }


def active_symbols(warehouse: Warehouse, settings: ResearchSettings) -> list[str]:
    """Return the active symbols by falling turnover.

    Raises:
        UniverseEmpty: there are none.
    """
    found = active(stored_places(warehouse, settings.market))
    chosen = [symbol for symbol in found if not settings.symbols or symbol in settings.symbols]
    if not chosen:
        raise UniverseEmpty(
            "no instrument is active; fetch the universe and bars first: nhmm backfill; where none is active then, "
            "the buckets of universe say why, against config/universe.yaml"
        )
    return chosen


def _store(
    warehouse: Warehouse, market: str, places: dict[str, Membership], moved: list[Membership], now_ms: int
) -> None:
    rows = [
        {
            "symbol": place.symbol,
            "market": market,
            "bucket": place.bucket.value,
            "reason": place.reason,
            "since_at": utc(place.since_ms),
            "first_seen_at": utc(place.first_seen_ms),
            "scanned_at": utc(now_ms),
            "clean_scans": place.clean_scans,
            "turnover_24h": place.turnover_24h,
            "last_price": place.last_price,
        }
        for place in places.values()
    ]
    changes = [
        {
            "symbol": place.symbol,
            "market": market,
            "moved_at": utc(place.since_ms),
            "bucket": place.bucket.value,
            "reason": place.reason,
        }
        for place in moved
    ]
    warehouse.writer(UNIVERSE_MOVES).upsert(pl.DataFrame(changes, schema=UNIVERSE_MOVES.schema))
    warehouse.writer(UNIVERSE).upsert(pl.DataFrame(rows, schema=UNIVERSE.schema))
