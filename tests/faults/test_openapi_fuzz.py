"""What the row reads from Schemathesis' words."""

from __future__ import annotations

from tests.faults.openapi_fuzz import findings_of

SAID = """
=================================== FAILURES ===================================
_______________________________ PUT /risk/config _______________________________
1. Test Case ID: a1B2c3

- ST101 Server error

[503] Service Unavailable:

2. Test Case ID: d4E5f6

- ST103 Undocumented status code

________________________ DELETE /orders/{client_order_id} ________________________
1. Test Case ID: g7H8i9

- ST204 Wrong response to undeclared method
"""


def test_every_finding_is_counted_under_its_route() -> None:
    assert [(found.subject, found.detail) for found in findings_of(SAID)] == [
        ("PUT /risk/config", "ST101 Server error"),
        ("PUT /risk/config", "ST103 Undocumented status code"),
        ("DELETE /orders/{client_order_id}", "ST204 Wrong response to undeclared method"),
    ]


def test_words_without_a_finding_give_none() -> None:
    assert findings_of("Test cases:\n  2596 generated, 2596 passed\n") == []
