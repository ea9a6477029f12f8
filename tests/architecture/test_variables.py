"""The list of variables is what the code reads: none is missing, none is left over."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from engine_service.settings import SECRET_KEYS, EngineSettings
from observability.variables import KNOWN, PREFIX
from orchestration.environment import Environment
from tests.architecture.sources import Source, sources

LIST = "observability/variables.py"
NAME = re.compile(rf"{PREFIX}[A-Z0-9_]+")
#: These make names of a prefix and a field of their settings.
MAKERS = {"engine_service/settings.py", "orchestration/environment.py", LIST}


def texts(source: Source) -> Iterator[str]:
    """Yield what is written out as text in a file, also within other text being put together."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_every_name_that_the_code_reads_is_known_and_no_other() -> None:
    fields = {*EngineSettings.model_fields, *Environment.model_fields} - set(SECRET_KEYS)
    made = {PREFIX + field.upper() for field in fields}
    written = {text for source in sources() if source.path != LIST for text in texts(source) if NAME.fullmatch(text)}
    assert len(written) > 8
    assert made | written == KNOWN


def test_nobody_else_puts_names_together() -> None:
    assert {source.path for source in sources() if PREFIX in texts(source)} == {LIST}
    importing = {source.path for source in sources() if "observability.variables.PREFIX" in source.imports()}
    assert importing | {LIST} == MAKERS
