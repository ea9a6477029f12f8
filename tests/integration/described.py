"""Answers held against an OpenAPI page: the status is declared, and so is all that the head and the body hold."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
from jsonschema import Draft202012Validator

Operation = tuple[str, str]
PROBLEM = "application/problem+json"


class Described:
    """One page. ``seen`` counts what was held against it, by operation and status."""

    def __init__(self, page: Mapping[str, Any]) -> None:
        self.page = page
        self.seen: dict[tuple[Operation, int], int] = defaultdict(int)
        self._validators: dict[str, Draft202012Validator] = {}
        self._templates = [
            (re.compile(re.sub(r"\\{[a-z_]+\\}", "[^/]+", re.escape(path))), path)
            for path in sorted(page["paths"], key=lambda path: "{" in path)
        ]

    def operations(self) -> Iterator[tuple[Operation, dict[str, Any]]]:
        """Yield every operation."""
        for path, methods in self.page["paths"].items():
            for method, operation in methods.items():
                yield (method.upper(), path), operation

    def check(self, answer: httpx.Response) -> None:
        """Hold an answer against the page; what asks for no operation of it passes, and so does a body unread.

        Raises:
            AssertionError: it is not as described.
        """
        template = self._template(answer.request.url.path)
        method = "GET" if answer.request.method == "HEAD" else answer.request.method
        operation = self.page["paths"].get(template, {}).get(method.lower())
        if operation is None:
            return
        said = f"{method} {template}: {answer.status_code}"
        declared = self._resolved(operation["responses"].get(str(answer.status_code)))
        assert declared is not None, f"{said} is not declared: {answer.text[:300]}"
        self.seen[(method, template), answer.status_code] += 1
        self._check_headers(answer, declared, said)
        media_type = answer.headers["content-type"].partition(";")[0]
        assert media_type in declared["content"], f"{said} is {media_type}"
        if media_type.endswith("json") and answer.request.method != "HEAD":
            self.check_body(answer.json(), declared["content"][media_type]["schema"], said)

    def check_body(self, body: object, schema: Mapping[str, Any], said: str) -> None:
        """Hold a body against a schema of the page."""
        errors = [
            f"{said}: {error.json_path}: {error.message[:300]}" for error in self._validator(schema).iter_errors(body)
        ]
        assert not errors, errors[0]

    def _check_headers(self, answer: httpx.Response, declared: Mapping[str, Any], said: str) -> None:
        for name, header in declared.get("headers", {}).items():
            value = answer.headers.get(name)
            assert value is not None or not header.get("required"), f"{said} comes without {name}"
            if value is not None:
                self.check_body(value, header["schema"], f"{said} {name}")
        told = {"location", "retry-after", "etag", "idempotency-replayed", "www-authenticate"}
        undeclared = told & set(answer.headers) - {name.lower() for name in declared.get("headers", {})}
        assert not undeclared, f"{said} brings {undeclared}"

    def _template(self, path: str) -> str:
        return next((template for pattern, template in self._templates if pattern.fullmatch(path)), "")

    def _resolved(self, part: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        if part is None or "$ref" not in part:
            return part
        found: Any = self.page
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        return dict(found)

    def _validator(self, schema: Mapping[str, Any]) -> Draft202012Validator:
        key = repr(schema)
        if key not in self._validators:
            whole = {**schema, "components": self.page["components"]}
            self._validators[key] = Draft202012Validator(whole)
        return self._validators[key]


def held(client: httpx.Client) -> Described:
    """Hold every later answer that a client gets against its server's own page."""
    described = Described(client.get("/openapi.json").json())

    def check(answer: httpx.Response) -> None:
        answer.read()
        described.check(answer)

    client.event_hooks = {"response": [check]}
    return described
