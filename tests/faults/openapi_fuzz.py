"""Row ``openapi_fuzz``: requests that Schemathesis makes from the OpenAPI page are answered as the page says."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess

from tests.faults.rows import CannotRun, Failure, Options, Outcome, Row
from tests.faults.stage import Stage, stage
from tests.faults.verdict import broken_work, clean_reconciliation

#: Not among them: whether a well-formed request is taken. Rails and balances judge that, and no schema can say them.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)
#: Changes of the limits come last: made in between, they would keep every order from passing.
PARTS = (("--exclude-operation-id", "put_risk_config"), ("--include-operation-id", "put_risk_config"))
_CASES = re.compile(r"(\d[\d,]*) generated")
_FOUND = re.compile(r"^_+ (?P<route>.+?) _+$|^- (?P<what>ST\d+ .+)$", re.MULTILINE)


def run(options: Options) -> Outcome:
    """Let it try every route.

    Raises:
        CannotRun: Schemathesis is not on the path.
    """
    command = shutil.which("schemathesis")
    if command is None:
        raise CannotRun("schemathesis is not installed: pip install schemathesis, in an environment of its own")
    return asyncio.run(tries(options, command, options.pick(20, 300)))


async def tries(options: Options, command: str, examples: int) -> Outcome:
    """Send ``examples`` requests a route and phase to one engine; at the end its books agree with the exchange."""
    async with stage(options.folder, options.seed) as on:
        parts = [await asyncio.to_thread(_ask, on, options, command, examples, part) for part in PARTS]
        said = "\n".join(parts)
        report = await clean_reconciliation(on.engine)
        failures = [*findings_of(said), *(Failure(found.kind, found.detail) for found in broken_work(on.engine.log))]
        if not report["ok"]:
            failures.append(Failure("books", str(report)[:600]))
        if "Traceback" in await asyncio.to_thread(on.engine.log.read_text, encoding="utf-8"):
            failures.append(Failure("log", "a traceback"))
    counted = [int(number.replace(",", "")) for number in _CASES.findall(said)]
    if len(counted) < len(PARTS):
        failures.append(Failure("schemathesis", said[-600:]))
    return Outcome(sum(counted), failures)


def _ask(on: Stage, options: Options, command: str, examples: int, part: tuple[str, str]) -> str:
    url = f"http://127.0.0.1:{on.engine.port}/openapi.json"
    words = ["run", url, *part, "--checks", ",".join(CHECKS), "--max-examples", str(examples), "--continue-on-failure"]
    words += ["--seed", str(options.seed), "--no-color", "-H", f"Authorization: Bearer {on.engine.token('admin')}"]
    environment = {**os.environ, "COLUMNS": "120"}
    done = subprocess.run(
        [command, *words], cwd=options.folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def findings_of(said: str) -> list[Failure]:
    """Return each finding under the route that it was found on."""
    failures, route = [], ""
    for match in _FOUND.finditer(said):
        if match["route"]:
            route = match["route"]
        else:
            failures.append(Failure(route, match["what"]))
    return failures


ROW = Row("openapi_fuzz", "requests made from the OpenAPI page: answers it does not describe, 5xx, tracebacks", run)
