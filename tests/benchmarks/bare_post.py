"""The peer of the order benchmark: the least that FastAPI does for a POST with a validated body."""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Ticket(BaseModel):
    """The same body as a market order's."""

    symbol: str
    side: str
    quantity: str


app = FastAPI()


@app.post("/orders/market", status_code=201)
async def place(ticket: Ticket) -> dict[str, str]:
    """Answer at once; nothing is checked, stored or sent."""
    return {"symbol": ticket.symbol, "status": "FILLED"}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False)
