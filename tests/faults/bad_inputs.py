"""Row ``bad_inputs``: hostile requests are answered as written, never by 500, echo or traceback; then random bytes."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path

from tests.faults.bad_input_case import LONGEST_ANSWER, ORDER, Case
from tests.faults.bad_input_cases import CASES
from tests.faults.engine_process import Engine
from tests.faults.rows import Failure, Options, Outcome, Row
from tests.faults.stage import stage
from tests.faults.verdict import broken_work, clean_reconciliation

AT_ONCE = 48
ANSWER_S, FUZZ_ANSWER_S = 5.0, 0.4
GROWTH_MIB = 50.0
#: Sent in some bodies; an answer that repeats it echoes.
CANARY = "ZxCanaryZx"


def run(options: Options) -> Outcome:
    """Send the table, then mutations of good requests."""
    return asyncio.run(requests(options, CASES, options.pick(5_000, 100_000)))


async def requests(options: Options, cases: Sequence[Case], fuzzed: int) -> Outcome:
    """Send all to one engine; at the end it must be well, no larger, and agree with the exchange."""
    async with stage(options.folder, options.seed) as on:
        outcome = Outcome(tried=len(cases) + fuzzed)
        for number, case in enumerate(cases):
            outcome.failures += await _try(on.engine, case, number)
        before = _resident_mib(on.engine.pid)
        outcome.failures += await _fuzz(on.engine, fuzzed, options.seed)
        grown = _resident_mib(on.engine.pid) - before
        if grown > GROWTH_MIB:
            outcome.failures.append(Failure("memory", f"grew by {grown:.0f} MiB"))
        report = await clean_reconciliation(on.engine)
        if not report["ok"]:
            outcome.failures.append(Failure("books", str(report)[:600]))
        outcome.failures += [Failure(found.kind, found.detail) for found in broken_work(on.engine.log)]
        if "Traceback" in await asyncio.to_thread(on.engine.log.read_text, encoding="utf-8"):
            outcome.failures.append(Failure("log", "a traceback"))
    outcome.notes = f"{len(cases)} named, {fuzzed} fuzzed, memory {grown:+.0f} MiB"
    return outcome


async def _try(engine: Engine, case: Case, number: int) -> list[Failure]:
    answer = await _exchange(engine.port, case.raw or _bytes_of(engine, case, f"bad-input-{number:05d}"), ANSWER_S)
    status, code = _read(answer)
    wrong = []
    if status not in case.statuses:
        wrong.append(f"answered {status} {code}, right is {case.statuses} {case.code}")
    elif case.code and code != case.code:
        wrong.append(f"answered {code}, right is {case.code}")
    if status >= 400 and len(answer.partition(b"\r\n\r\n")[2]) > LONGEST_ANSWER:
        wrong.append(f"an answer of {len(answer)} bytes")
    if b"access-control-allow-origin" in answer.lower():
        wrong.append("a foreign page is let in")
    return [Failure(case.name, text) for text in wrong]


def _bytes_of(engine: Engine, case: Case, key: str) -> bytes:
    headers = {
        "Host": f"127.0.0.1:{engine.port}",
        "Authorization": f"Bearer {engine.token(case.token)}",
        "Content-Type": "application/json",
        "Idempotency-Key": key,
        "Content-Length": str(len(case.body)),
        "Connection": "close",
    }
    if case.method == "GET":
        del headers["Content-Type"], headers["Content-Length"]
    # A header of the case's that is spelt alike replaces ours; in other letters it stands beside it.
    headers = {**headers, **case.headers}
    lines = [f"{name}: {value}" for name, value in headers.items() if name not in case.without]
    return "\r\n".join([f"{case.method} {case.path} HTTP/1.1", *lines, "", ""]).encode() + case.body


async def _exchange(port: int, request: bytes, within_s: float) -> bytes:
    """Send bytes and return what comes back until the end or the time-out."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        writer.write(request)
        async with asyncio.timeout(within_s):
            await writer.drain()
            while part := await reader.read(65_536):
                answer += part
    except (TimeoutError, OSError):
        pass
    finally:
        writer.close()
    return answer


def _read(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(maxsplit=2)
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    try:
        parsed = json.loads(body)
    except ValueError:
        return status, ""
    return status, str(parsed.get("code", "")) if isinstance(parsed, dict) else ""


async def _fuzz(engine: Engine, number: int, seed: int) -> list[Failure]:
    failures: list[Failure] = []
    numbers = itertools.count()

    async def send_some() -> None:
        while (count := next(numbers)) < number:
            request = _mutated(engine, random.Random(f"{seed}-{count}"), count)
            answer = await _exchange(engine.port, request, FUZZ_ANSWER_S)
            status, _ = _read(answer)
            if status >= 400 and CANARY.encode() in answer:
                failures.append(Failure(f"fuzz {count}", f"{status} echoes what was sent"))
            if status >= 500 and status != 503:
                failures.append(Failure(f"fuzz {count}", f"{status} for {request[:300]!r}"))

    await asyncio.gather(*(send_some() for _ in range(AT_ONCE)))
    return failures


def _mutated(engine: Engine, chance: random.Random, number: int) -> bytes:
    """A good request with a few bytes, a value or a piece of it changed."""
    path = chance.choice(("/orders/market", "/orders/limit", "/orders/stop", "/orders/check", "/orders/bracket"))
    body = json.dumps({**ORDER, "tag": CANARY, "price": "60000"}).encode()
    whole = chance.random() < 0.4
    if not whole:
        body = _scrambled(body, chance)
    case = Case(name="", statuses=(), path=path, body=body)
    request = _bytes_of(engine, case, f"fuzz-{number:08d}")
    return _scrambled(request, chance) if whole else request


def _scrambled(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(changed))
        match chance.randrange(5):
            case 0:
                changed[place] = chance.randrange(256)
            case 1:
                changed[place:place] = chance.randbytes(chance.randrange(1, 8))
            case 2:
                del changed[place : place + chance.randrange(1, 8)]
            case 3:
                changed[place:place] = changed[place : place + chance.randrange(1, 40)]
            case _:
                changed[place:place] = chance.choice(_MORSELS)
    return bytes(changed) or b"\r\n\r\n"


_MORSELS = (
    b"NaN",
    b"1e400",
    b"\\ud800",
    b"null",
    b"[[[[",
    b'"',
    b"\r\n",
    b"\x00",
    b"\xff\xfe",
    b"-0",
    b"{}",
    b"9" * 50,
)


def _resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


ROW = Row("bad_inputs", "bad input and fuzz: wrong answers, 500s, tracebacks, growth", run)
