"""A conversation on a stream connection: control messages in, market events or an account's reports out."""

from __future__ import annotations

from collections.abc import Iterable

from engine_service.exchange_sim.binance_wire import ws_payloads_market, ws_payloads_user
from engine_service.exchange_sim.binance_wire.ws_connection import NORMAL, StreamConnection
from engine_service.exchange_sim.binance_wire.ws_control import Control, ControlError, answer, parse_control
from engine_service.exchange_sim.binance_wire.ws_listen_keys import KeyEnd, ListenKeys
from engine_service.exchange_sim.binance_wire.ws_market_hub import MarketHub
from engine_service.exchange_sim.binance_wire.ws_sessions import Stream
from engine_service.exchange_sim.binance_wire.ws_stream_names import Base, StreamSpec, parse_stream
from engine_service.exchange_sim.binance_wire.ws_text import TimeUnit
from engine_service.exchange_sim.binance_wire.ws_topics import encode
from engine_service.exchange_sim.binance_wire.ws_user_hub import Report, UserHub
from engine_service.exchange_sim.enums import Market
from engine_service.exchange_sim.exchange import Exchange

MAX_STREAMS = 1024


class StreamSession:
    """What market and private sessions share: the names subscribed, the envelope and the control messages.

    Args:
        connection: the client's socket.
        market: whose rules the control messages follow.
        combined: whether payloads are wrapped in `{"stream", "data"}`; the client may change it.
        unit: of the time stamps.
    """

    stream = Stream.PUBLIC

    def __init__(
        self, exchange: Exchange, connection: StreamConnection, market: Market, combined: bool, unit: TimeUnit
    ) -> None:
        self.connection = connection
        self.market = market
        self.combined = combined
        self.unit = unit
        self._exchange = exchange
        self._names: dict[str, None] = {}  # in the order of subscription

    def push(self, text: str) -> None:
        """Send one finished message."""
        self.connection.push(text)

    def subscribe(self, names: Iterable[str]) -> None:
        """Add streams; one that is subscribed already stays as it is."""
        for name in names:
            if name not in self._names:
                self._names[name] = None
                self._attach(name)

    def unsubscribe(self, names: Iterable[str]) -> None:
        """Take streams away; unknown ones are none of the exchange's business."""
        for name in names:
            if name in self._names:
                del self._names[name]
                self._detach(name)

    def end(self) -> None:
        """The client is gone."""
        self.unsubscribe(list(self._names))

    async def on_text(self, text: str) -> None:
        """Carry out one control message and answer it."""
        try:
            control = parse_control(text, self.market)
            self.push(encode(answer(control.request_id, self._carry_out(control))))
        except ControlError as error:
            self.push(encode(error.payload()))

    def announce_shutdown(self) -> None:
        """Spot says so before it closes; USD-M does not."""
        if self.market is Market.SPOT:
            payload = ws_payloads_market.server_shutdown(self._exchange.server_time_ms() * self.unit)
            self._emit("!serverShutdown", payload)

    def _carry_out(self, control: Control) -> object:
        names = [str(name) for name in control.params]
        match control.method:
            case "SUBSCRIBE":
                if len(self._names.keys() | set(names)) > MAX_STREAMS:
                    raise ControlError(2, "Invalid request: too many streams", control.request_id)
                self.subscribe(names)
            case "UNSUBSCRIBE":
                self.unsubscribe(names)
            case "LIST_SUBSCRIPTIONS":
                return list(self._names)
            case "SET_PROPERTY":
                self.combined = control.params[1] is True
            case _:
                return self.combined
        return None

    def _emit(self, stream: str, payload: object) -> None:
        self.push(encode({"stream": stream, "data": payload} if self.combined else payload))

    def _attach(self, name: str) -> None:
        raise LookupError(name)

    def _detach(self, name: str) -> None:
        raise LookupError(name)


class MarketSession(StreamSession):
    """Market streams on one base. A name that the base does not carry is accepted and stays silent."""

    def __init__(
        self,
        exchange: Exchange,
        hub: MarketHub,
        connection: StreamConnection,
        base: Base,
        combined: bool,
        unit: TimeUnit,
    ) -> None:
        super().__init__(exchange, connection, base.market, combined, unit)
        self._hub = hub
        self._base = base

    def _attach(self, name: str) -> None:
        if spec := self._delivered(name):
            self._hub.subscribe(self, spec)

    def _detach(self, name: str) -> None:
        if spec := self._delivered(name):
            self._hub.unsubscribe(self, spec)

    def _delivered(self, name: str) -> StreamSpec | None:
        spec = parse_stream(self.market, name)
        return spec if spec is not None and spec.base is self._base else None


class PrivateSession(StreamSession):
    """USD-M user streams: the names are listen keys.

    Args:
        events: names of the events wanted; empty for all.
    """

    stream = Stream.USER

    def __init__(
        self,
        exchange: Exchange,
        hub: UserHub,
        keys: ListenKeys,
        connection: StreamConnection,
        combined: bool,
        events: frozenset[str],
    ) -> None:
        super().__init__(exchange, connection, Market.FUTURES, combined, 1)
        self._hub = hub
        self._keys = keys
        self._events = events
        self._accounts: dict[str, str] = {}  # by listen key

    def _attach(self, name: str) -> None:
        account_id = self._keys.account_of(name)
        if account_id is not None:
            self._accounts[name] = account_id
            self._hub.listen(account_id, (self, name), lambda report: self._on_report(name, report))

    def _detach(self, name: str) -> None:
        account_id = self._accounts.pop(name, None)
        if account_id is not None:
            self._hub.leave(account_id, (self, name))

    def _on_report(self, name: str, report: Report) -> None:
        if not self._events or report.name in self._events:
            self._emit(name, report.build(self.unit))

    def on_key_end(self, key: str, why: KeyEnd) -> None:
        """An expired key says so and falls silent; a closed one takes the connection with it."""
        if key not in self._accounts:
            return
        if why is KeyEnd.EXPIRED:
            at_ms = self._exchange.server_time_ms()
            self._emit(key, ws_payloads_user.listen_key_expired(key, at_ms))
        self.unsubscribe([key])
        if why is KeyEnd.CLOSED and not self._accounts:
            self.connection.finish(NORMAL, "listen key closed")
