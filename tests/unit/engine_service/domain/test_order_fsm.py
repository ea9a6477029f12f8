"""Every pair of state and event has a decided answer; the grid below is the specification, written by hand."""

from __future__ import annotations

import pytest

from engine_service.domain.order_fsm import REQUEST_IN_DOUBT, TRANSITIONS, Trigger, resolve
from engine_service.domain.order_status import Doubt, OrderStatus

ABBREVIATIONS = {
    "INI": "INITIALIZED",
    "SUB": "SUBMITTED",
    "ACK": "PENDING_ACK",
    "ACC": "ACCEPTED",
    "TRG": "TRIGGERED",
    "PAR": "PARTIALLY_FILLED",
    "FIL": "FILLED",
    "PCA": "PENDING_CANCEL",
    "PUP": "PENDING_UPDATE",
    "CAN": "CANCELED",
    "REJ": "REJECTED",
    "DEN": "DENIED",
    "EXP": "EXPIRED",
    "DBT": "IN_DOUBT",
    "NOT": "NOT_PLACED",
    "RES": "RESURRECTED",
    "QUA": "QUARANTINED",
}
#: Rows: where the order is. Columns: what happens. "..." = no rule allows it, "rst" = back to where it rested.
#: QCD and QRD are IN_DOUBT about a cancel or a change of an order that is known to live.
GRID = """
    DENY SUBMIT PENDING_ACK ACCEPT TRIGGER FILL_PART FILL_ALL PENDING_CANCEL CANCEL CANCEL_REJECT PENDING_UPDATE \
UPDATE UPDATE_REJECT REJECT EXPIRE DOUBT NOT_PLACED RESURRECT QUARANTINE RELEASE
INI DEN SUB ... ... ... ... ... ... ... ... ... ... ... ... ... ... NOT ... ... ...
SUB ... ... ACK ACC TRG PAR FIL ... CAN ... ... ... ... REJ EXP DBT NOT ... QUA ...
ACK ... ... ACK ACC TRG PAR FIL PCA CAN ... ... ... ... REJ EXP DBT NOT ... QUA ...
ACC ... ... ACC ACC TRG PAR FIL PCA CAN ACC PUP ACC ACC REJ EXP DBT ... ... QUA ...
TRG ... ... TRG TRG TRG PAR FIL PCA CAN TRG PUP TRG TRG REJ EXP DBT ... ... QUA ...
PAR ... ... PAR PAR PAR PAR FIL PCA CAN PAR PUP PAR PAR REJ EXP DBT ... ... QUA ...
FIL ... ... FIL FIL FIL FIL FIL ... FIL FIL ... FIL FIL FIL FIL ... ... ... QUA ...
PCA ... ... PCA PCA PCA PCA FIL PCA CAN rst ... PCA PCA REJ EXP DBT ... ... QUA ...
PUP ... ... PUP PUP PUP PUP FIL PCA CAN ... ... rst rst REJ EXP DBT ... ... QUA ...
CAN ... ... CAN CAN CAN CAN FIL ... CAN CAN ... CAN CAN CAN CAN ... ... ... QUA ...
REJ ... ... REJ REJ REJ REJ FIL ... REJ REJ ... REJ REJ REJ REJ ... ... ... QUA ...
DEN ... ... ... ... ... ... ... ... ... ... ... ... ... ... ... ... ... ... ... ...
EXP ... ... EXP EXP EXP EXP FIL ... EXP EXP ... EXP EXP EXP EXP ... ... ... QUA ...
DBT ... ... DBT ACC TRG PAR FIL ... CAN ... ... ... ... REJ EXP DBT NOT ... QUA ...
QCD ... ... DBT DBT DBT DBT FIL PCA CAN rst ... rst rst REJ EXP DBT ... ... QUA ...
QRD ... ... DBT DBT DBT DBT FIL PCA CAN rst ... rst rst REJ EXP DBT ... ... QUA ...
NOT ... ... ... ... ... ... ... ... ... ... ... ... ... NOT ... ... ... RES QUA ...
RES ... ... RES ACC TRG PAR FIL PCA CAN ... ... ... ... REJ EXP DBT ... RES QUA ...
QUA ... ... QUA QUA QUA QUA QUA ... QUA QUA ... ... ... QUA QUA ... ... ... QUA CAN
"""


def _cells() -> list[tuple[str, Trigger, str]]:
    header, *rows = [line.split() for line in GRID.strip().splitlines()]
    return [(row[0], Trigger(name), cell) for row in rows for name, cell in zip(header, row[1:], strict=True)]


CELLS = _cells()


def test_the_grid_covers_every_state_and_every_event() -> None:
    assert {ABBREVIATIONS.get(row, "IN_DOUBT") for row, _, _ in CELLS} == {status.value for status in OrderStatus}
    assert {trigger for _, trigger, _ in CELLS} == set(Trigger)
    assert len(CELLS) == (len(OrderStatus) + 2) * len(Trigger)


@pytest.mark.parametrize(("row", "trigger", "cell"), CELLS)
def test_each_pair_has_its_answer(row: str, trigger: Trigger, cell: str) -> None:
    doubt = {"DBT": Doubt.SUBMIT, "QCD": Doubt.CANCEL, "QRD": Doubt.REPLACE}.get(row)
    status = OrderStatus(ABBREVIATIONS.get(row, "IN_DOUBT"))
    resting = OrderStatus.PARTIALLY_FILLED
    expected = {"...": None, "rst": resting}.get(cell, "")
    if expected == "":
        expected = OrderStatus(ABBREVIATIONS[cell])
    assert resolve(status, trigger, resting=resting, doubt=doubt) == expected


def test_without_a_known_resting_place_a_living_order_is_accepted() -> None:
    assert resolve(OrderStatus.PENDING_CANCEL, Trigger.CANCEL_REJECT) is OrderStatus.ACCEPTED


def test_no_rule_leads_out_of_a_finished_order_to_an_open_one_but_a_contradiction() -> None:
    for status in OrderStatus:
        if not status.is_terminal or status is OrderStatus.NOT_PLACED:
            continue
        targets = {target for target in TRANSITIONS[status].values() if isinstance(target, OrderStatus)}
        assert all(target.is_terminal for target in targets - {OrderStatus.QUARANTINED})


def test_an_order_known_to_the_venue_can_never_become_not_placed() -> None:
    assert Trigger.NOT_PLACED not in REQUEST_IN_DOUBT
    known = {OrderStatus.ACCEPTED, OrderStatus.TRIGGERED, OrderStatus.PARTIALLY_FILLED, OrderStatus.PENDING_CANCEL}
    assert all(Trigger.NOT_PLACED not in TRANSITIONS[status] for status in known)
