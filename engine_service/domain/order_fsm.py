"""The life of an order as data: for every state, what each word of ours or of the venue's does to it.

A table entry is a status to go to (the same one means: allowed, nothing moves) or ``RESTORE``, back to where the
order rested before the request. No entry means that no rule allows it: the caller records an anomaly and leaves
the order alone. Venue words arrive late, twice and out of order, so a lower-ranked word after a higher one is
allowed and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from engine_service.domain.order_status import Doubt
from engine_service.domain.order_status import OrderStatus as S


class Trigger(StrEnum):
    """What can happen to an order."""

    DENY = "DENY"
    SUBMIT = "SUBMIT"
    PENDING_ACK = "PENDING_ACK"
    ACCEPT = "ACCEPT"
    TRIGGER = "TRIGGER"
    FILL_PART = "FILL_PART"
    FILL_ALL = "FILL_ALL"
    PENDING_CANCEL = "PENDING_CANCEL"
    CANCEL = "CANCEL"
    CANCEL_REJECT = "CANCEL_REJECT"
    PENDING_UPDATE = "PENDING_UPDATE"
    UPDATE = "UPDATE"
    UPDATE_REJECT = "UPDATE_REJECT"
    REJECT = "REJECT"
    EXPIRE = "EXPIRE"
    DOUBT = "DOUBT"
    NOT_PLACED = "NOT_PLACED"
    RESURRECT = "RESURRECT"
    QUARANTINE = "QUARANTINE"
    RELEASE = "RELEASE"


class Restore:
    """Marker type of ``RESTORE``."""

    __slots__ = ()


RESTORE: Final = Restore()
Target = S | Restore

T = Trigger

#: Fills count in every state the venue can have seen; where they lead when the order is still alive.
_FILLS: Mapping[T, Target] = {T.FILL_PART: S.PARTIALLY_FILLED, T.FILL_ALL: S.FILLED}
#: Ways a living order ends at the venue.
_ENDS: Mapping[T, Target] = {T.CANCEL: S.CANCELED, T.EXPIRE: S.EXPIRED, T.QUARANTINE: S.QUARANTINED}
_WAITING: Mapping[T, Target] = {
    **_FILLS,
    **_ENDS,
    T.ACCEPT: S.ACCEPTED,
    T.TRIGGER: S.TRIGGERED,
    T.REJECT: S.REJECTED,
}


def _ended(status: S, **also: Target) -> dict[Trigger, Target]:
    """A finished order keeps its status whatever stale word arrives; only a contradiction moves it."""
    stale = (T.PENDING_ACK, T.ACCEPT, T.TRIGGER, T.CANCEL, T.EXPIRE, T.CANCEL_REJECT, T.UPDATE_REJECT, T.UPDATE)
    rules: dict[Trigger, Target] = dict.fromkeys(stale, status)
    rules |= {T.FILL_PART: status, T.FILL_ALL: S.FILLED, T.QUARANTINE: S.QUARANTINED}
    return rules | {Trigger(name): target for name, target in also.items()}


TRANSITIONS: Final[Mapping[S, Mapping[Trigger, Target]]] = {
    S.INITIALIZED: {T.DENY: S.DENIED, T.SUBMIT: S.SUBMITTED, T.NOT_PLACED: S.NOT_PLACED},
    S.SUBMITTED: {
        **_WAITING,
        T.PENDING_ACK: S.PENDING_ACK,
        T.DOUBT: S.IN_DOUBT,
        T.NOT_PLACED: S.NOT_PLACED,
    },
    S.PENDING_ACK: {
        **_WAITING,
        T.PENDING_ACK: S.PENDING_ACK,
        T.DOUBT: S.IN_DOUBT,
        T.PENDING_CANCEL: S.PENDING_CANCEL,
        T.NOT_PLACED: S.NOT_PLACED,
    },
    S.IN_DOUBT: {
        **_WAITING,
        T.PENDING_ACK: S.IN_DOUBT,
        T.DOUBT: S.IN_DOUBT,
        T.NOT_PLACED: S.NOT_PLACED,
    },
    S.ACCEPTED: {
        **_FILLS,
        **_ENDS,
        T.REJECT: S.REJECTED,
        T.ACCEPT: S.ACCEPTED,
        T.PENDING_ACK: S.ACCEPTED,
        T.TRIGGER: S.TRIGGERED,
        T.PENDING_CANCEL: S.PENDING_CANCEL,
        T.PENDING_UPDATE: S.PENDING_UPDATE,
        T.CANCEL_REJECT: S.ACCEPTED,
        T.UPDATE: S.ACCEPTED,
        T.UPDATE_REJECT: S.ACCEPTED,
        T.DOUBT: S.IN_DOUBT,
    },
    S.TRIGGERED: {
        **_FILLS,
        **_ENDS,
        T.REJECT: S.REJECTED,
        T.ACCEPT: S.TRIGGERED,
        T.PENDING_ACK: S.TRIGGERED,
        T.TRIGGER: S.TRIGGERED,
        T.PENDING_CANCEL: S.PENDING_CANCEL,
        T.PENDING_UPDATE: S.PENDING_UPDATE,
        T.CANCEL_REJECT: S.TRIGGERED,
        T.UPDATE: S.TRIGGERED,
        T.UPDATE_REJECT: S.TRIGGERED,
        T.DOUBT: S.IN_DOUBT,
    },
    S.PARTIALLY_FILLED: {
        **_FILLS,
        **_ENDS,
        T.REJECT: S.REJECTED,
        T.ACCEPT: S.PARTIALLY_FILLED,
        T.PENDING_ACK: S.PARTIALLY_FILLED,
        T.TRIGGER: S.PARTIALLY_FILLED,
        T.PENDING_CANCEL: S.PENDING_CANCEL,
        T.PENDING_UPDATE: S.PENDING_UPDATE,
        T.CANCEL_REJECT: S.PARTIALLY_FILLED,
        T.UPDATE: S.PARTIALLY_FILLED,
        T.UPDATE_REJECT: S.PARTIALLY_FILLED,
        T.DOUBT: S.IN_DOUBT,
    },
    S.PENDING_CANCEL: {
        **_ENDS,
        T.FILL_PART: S.PENDING_CANCEL,
        T.FILL_ALL: S.FILLED,
        T.REJECT: S.REJECTED,
        T.ACCEPT: S.PENDING_CANCEL,
        T.PENDING_ACK: S.PENDING_CANCEL,
        T.TRIGGER: S.PENDING_CANCEL,
        T.PENDING_CANCEL: S.PENDING_CANCEL,
        T.CANCEL_REJECT: RESTORE,
        T.UPDATE: S.PENDING_CANCEL,
        T.UPDATE_REJECT: S.PENDING_CANCEL,
        T.DOUBT: S.IN_DOUBT,
    },
    S.PENDING_UPDATE: {
        **_ENDS,
        T.FILL_PART: S.PENDING_UPDATE,
        T.FILL_ALL: S.FILLED,
        T.REJECT: S.REJECTED,
        T.ACCEPT: S.PENDING_UPDATE,
        T.PENDING_ACK: S.PENDING_UPDATE,
        T.TRIGGER: S.PENDING_UPDATE,
        T.PENDING_CANCEL: S.PENDING_CANCEL,
        T.UPDATE: RESTORE,
        T.UPDATE_REJECT: RESTORE,
        T.DOUBT: S.IN_DOUBT,
    },
    S.FILLED: _ended(S.FILLED, FILL_PART=S.FILLED, REJECT=S.FILLED),
    S.CANCELED: _ended(S.CANCELED, REJECT=S.CANCELED),
    S.EXPIRED: _ended(S.EXPIRED, REJECT=S.EXPIRED),
    S.REJECTED: _ended(S.REJECTED, REJECT=S.REJECTED),
    S.DENIED: {},
    S.NOT_PLACED: {T.RESURRECT: S.RESURRECTED, T.REJECT: S.NOT_PLACED, T.QUARANTINE: S.QUARANTINED},
    S.RESURRECTED: {
        **_WAITING,
        T.PENDING_ACK: S.RESURRECTED,
        T.PENDING_CANCEL: S.PENDING_CANCEL,
        T.RESURRECT: S.RESURRECTED,
        T.DOUBT: S.IN_DOUBT,
    },
    S.QUARANTINED: {
        T.PENDING_ACK: S.QUARANTINED,
        T.ACCEPT: S.QUARANTINED,
        T.TRIGGER: S.QUARANTINED,
        T.FILL_PART: S.QUARANTINED,
        T.FILL_ALL: S.QUARANTINED,
        T.CANCEL: S.QUARANTINED,
        T.EXPIRE: S.QUARANTINED,
        T.REJECT: S.QUARANTINED,
        T.CANCEL_REJECT: S.QUARANTINED,
        T.QUARANTINE: S.QUARANTINED,
        T.RELEASE: S.CANCELED,
    },
}

#: IN_DOUBT where the order itself is known to the venue and only a cancel or a change of it is in doubt: signs of
#: life do not settle that doubt, and the order cannot turn out never to have been placed.
REQUEST_IN_DOUBT: Final[Mapping[Trigger, Target]] = {
    **_ENDS,
    T.FILL_PART: S.IN_DOUBT,
    T.FILL_ALL: S.FILLED,
    T.REJECT: S.REJECTED,
    T.ACCEPT: S.IN_DOUBT,
    T.PENDING_ACK: S.IN_DOUBT,
    T.TRIGGER: S.IN_DOUBT,
    T.DOUBT: S.IN_DOUBT,
    T.PENDING_CANCEL: S.PENDING_CANCEL,
    T.CANCEL_REJECT: RESTORE,
    T.UPDATE: RESTORE,
    T.UPDATE_REJECT: RESTORE,
}


def resolve(status: S, trigger: Trigger, *, resting: S | None = None, doubt: Doubt | None = None) -> S | None:
    """Return the status after ``trigger``, or ``None`` where no rule allows it.

    ``resting`` is the status before the pending cancel or change; without one an order that is known to live is
    ACCEPTED. ``doubt`` says what about an IN_DOUBT order is in doubt.
    """
    about_request = status is S.IN_DOUBT and (doubt is Doubt.CANCEL or doubt is Doubt.REPLACE)
    rules = REQUEST_IN_DOUBT if about_request else TRANSITIONS[status]
    target = rules.get(trigger)
    if isinstance(target, Restore):
        return resting or S.ACCEPTED
    return target
