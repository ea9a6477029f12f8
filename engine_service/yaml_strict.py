"""YAML as plain data and nothing else: no tags, anchors or duplicate keys, and scalars stay text.

YAML 1.1 reads ``no`` as false, ``12:30:45`` as a number and ``010`` as eight. A limit must not depend on that, so
every scalar comes out as text and the schema that reads it gives it a type.
"""

from __future__ import annotations

from pathlib import Path

import yaml

MAX_BYTES = 64 * 1024
MAX_NODES = 5_000
MAX_DEPTH = 12

Plain = str | list["Plain"] | dict[str, "Plain"]


class YamlRefused(ValueError):
    """The text is not plain data. ``code`` is stable, ``line`` counts from 1 (0 where there is none)."""

    def __init__(self, code: str, detail: str, line: int = 0) -> None:
        super().__init__(f"{code}: {detail}, line {line}" if line else f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.line = line


def load_file(path: Path) -> dict[str, Plain]:
    """Return the mapping a file holds.

    Raises:
        YamlRefused: the file cannot be read as UTF-8 or its text is refused, as ``load_text`` says.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise YamlRefused("FILE_UNREADABLE", error.strerror or "cannot be read") from error
    if len(data) > MAX_BYTES:
        raise YamlRefused("POLICY_TOO_LARGE", f"larger than {MAX_BYTES} bytes")
    try:
        return load_text(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise YamlRefused("POLICY_NOT_UTF8", "not UTF-8") from error


def load_text(text: str) -> dict[str, Plain]:
    """Return the mapping that the text holds, every scalar as written.

    Raises:
        YamlRefused: ``POLICY_SYNTAX``, ``POLICY_TAG``, ``POLICY_ALIAS``, ``POLICY_DUPLICATE_KEY``,
            ``POLICY_TOO_DEEP``, ``POLICY_TOO_LARGE`` or ``POLICY_NOT_MAPPING``.
    """
    try:
        events = _checked_events(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader) if events else None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "not YAML"
        raise YamlRefused("POLICY_SYNTAX", str(problem), mark.line + 1 if mark else 0) from error
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise YamlRefused("POLICY_NOT_MAPPING", "the file must be a mapping of keys to values")
    return _mapping(node)


def _checked_events(text: str) -> int:
    """Count the parser's events, refusing before anything is built what must not be built."""
    depth = count = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        count += 1
        if count > MAX_NODES:
            raise YamlRefused("POLICY_TOO_LARGE", f"more than {MAX_NODES} nodes", line)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise YamlRefused("POLICY_ALIAS", "anchors and aliases are not taken", line)
        if getattr(event, "tag", None):
            raise YamlRefused("POLICY_TAG", "tags are not taken", line)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise YamlRefused("POLICY_TOO_DEEP", f"nested deeper than {MAX_DEPTH}", line)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return count


def _mapping(node: yaml.MappingNode) -> dict[str, Plain]:
    result: dict[str, Plain] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise YamlRefused("POLICY_SYNTAX", "keys must be text", line)
        if key_node.value in result:
            raise YamlRefused("POLICY_DUPLICATE_KEY", f"the key {key_node.value[:40]} stands twice", line)
        result[key_node.value] = _plain(value_node)
    return result


def _plain(node: yaml.Node) -> Plain:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    return str(node.value)
