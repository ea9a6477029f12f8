"""What an asset's page holds, read as the UI would show it: pictures that are pictures, tables with rows."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from typing import Any

import dagster as dg

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LAST = b"IEND\xaeB`\x82"


def page_of(result: dg.ExecuteInProcessResult, asset: str) -> Mapping[str, dg.MetadataValue[Any]]:
    """Return the metadata of the asset's one materialisation."""
    (materialised,) = result.asset_materializations_for_node(asset)
    return materialised.metadata


def picture(page: Mapping[str, dg.MetadataValue[Any]], name: str) -> tuple[int, int]:
    """Return width and height, in pixels, of a whole PNG inside a page's Markdown."""
    value = page[name]
    assert isinstance(value, dg.MarkdownMetadataValue)
    title, _, rest = str(value.value).partition("](data:image/png;base64,")
    assert title.startswith("![") and rest.endswith(")")
    content = base64.b64decode(rest[:-1], validate=True)
    assert content.startswith(_SIGNATURE) and content.endswith(_LAST)
    width, height = struct.unpack(">II", content[16:24])
    assert min(width, height) > 30
    return width, height


def rows(page: Mapping[str, dg.MetadataValue[Any]], name: str) -> list[Mapping[str, Any]]:
    """Return the rows of a page's table; ``none`` is no table."""
    value = page[name]
    assert isinstance(value, dg.TableMetadataValue)
    return [record.data for record in value.records]
