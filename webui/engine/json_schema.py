"""A JSON schema as the grammar compiler may have it: what it would honour only in part is refused or made exact.

llguidance refuses by itself what it knows and cannot do (`not`, `uniqueItems`, …). This module sees to the rest, found
with the JSON-Schema-Test-Suite and by generating: unknown keywords (a typing error, or OpenAPI's `nullable`) would be
ignored, `x-guidance` would switch its strictness off, the days and leap seconds of `date`, `time` and `date-time` are
not checked, `\\S` lets a byte order mark pass, a free key may come twice (so that `minProperties` counts it twice), and
a `$ref` may lead to a place that is no schema. It does not compile anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from webui.errors import InvalidRequest

MAX_DEPTH = 100
MAX_PROPERTIES = 1000  #: of all objects together; compiling takes quadratic time in those of one object
_ANNOTATIONS = frozenset(
    {"$comment", "$vocabulary", "contentEncoding", "contentMediaType", "contentSchema", "default", "deprecated",
     "description", "discriminator", "example", "examples", "readOnly", "title", "writeOnly"}
)  # fmt: skip
"""Say nothing about the value."""
_KEYWORDS = frozenset(
    {"$anchor", "$defs", "$dynamicAnchor", "$dynamicRef", "$id", "$ref", "$schema", "additionalItems",
     "additionalProperties", "allOf", "anyOf", "const", "contains", "definitions", "dependencies", "dependentRequired",
     "dependentSchemas", "else", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "id", "if", "items",
     "maxContains", "maxItems", "maxLength", "maxProperties", "maximum", "minContains", "minItems", "minLength",
     "minProperties", "minimum", "multipleOf", "not", "oneOf", "pattern", "patternProperties", "prefixItems",
     "properties", "propertyNames", "required", "then", "type", "unevaluatedItems", "unevaluatedProperties",
     "uniqueItems"}
)  # fmt: skip
"""Every keyword of the drafts; llguidance refuses those that it does not implement."""
_ONE = ("additionalProperties", "additionalItems", "items")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_MAPS = ("properties", "patternProperties", "$defs", "definitions")

# RFC 3339 has a year 0, which few programs can read: Python's own dates begin with year 1.
_YEAR = r"(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_LEAP_YEAR = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DATE = (
    rf"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|"
    rf"02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
_NO_BYTE_ORDER_MARK = "^[^\ufeff]*$"  # is white space in JavaScript's regular expressions and is not in Rust's
_FORMATS = {"date": f"^{_DATE}$", "time": f"^{_TIME}$", "date-time": f"^{_DATE}T{_TIME}$"}


def read_schema(source: str) -> dict[str, Any]:
    """The schema to compile. Raises InvalidRequest with what cannot be honoured."""
    try:
        schema = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The JSON schema is not valid JSON.") from error
    if isinstance(schema, bool):
        schema = {} if schema else {"allOf": [False]}
    if not isinstance(schema, dict):
        raise InvalidRequest("A JSON schema is an object.")
    places: set[str] = set()
    strict: dict[str, Any] = _strict(schema, "#", places)
    num_properties = sum(place.split("/")[-2:-1] == ["properties"] for place in places)
    if num_properties > MAX_PROPERTIES:
        raise InvalidRequest(f"The JSON schema names {num_properties:,} properties; at most {MAX_PROPERTIES:,} can be.")
    for reference in _references(strict):
        if "#/" in reference and reference not in places:
            raise InvalidRequest(f"The JSON schema's $ref “{_short(reference)}” does not lead to a schema in it.")
    return strict


def _strict(schema: Any, place: str, places: set[str]) -> Any:
    """A copy of one schema and all below it; `places` collects where schemas are."""
    places.add(place)
    if isinstance(schema, bool):
        return schema
    if not isinstance(schema, dict):
        raise InvalidRequest(f"The JSON schema has at {_short(place)} something that is no schema.")
    if place.count("/") > 2 * MAX_DEPTH:
        raise InvalidRequest(f"The JSON schema is nested deeper than {MAX_DEPTH} levels.")
    copy: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in _ANNOTATIONS or (keyword.startswith("x-") and keyword != "x-guidance"):
            continue
        if keyword not in _KEYWORDS:
            raise InvalidRequest(f"The JSON schema has the unknown keyword “{_short(keyword)}”.")
        copy[keyword] = _strict_below(keyword, value, f"{place}/{_escape(keyword)}", places)
    _check_free_keys(copy)
    exact = _FORMATS.get(str(copy.get("format")))
    if exact is not None:
        del copy["format"]
    elif "\\S" in str(copy.get("pattern")):
        exact = _NO_BYTE_ORDER_MARK
    return copy if exact is None else copy | {"allOf": [*copy.get("allOf", []), {"pattern": exact}]}


def _strict_below(keyword: str, value: Any, place: str, places: set[str]) -> Any:
    """The value of one keyword, with the schemas in it made strict."""
    if keyword in _MAPS and isinstance(value, dict):
        return {name: _strict(below, f"{place}/{_escape(name)}", places) for name, below in value.items()}
    if keyword in _LISTS and isinstance(value, list):
        return [_strict(below, f"{place}/{index}", places) for index, below in enumerate(value)]
    if keyword in _ONE:
        return _strict(value, place, places)
    return value


def _check_free_keys(schema: dict[str, Any]) -> None:
    least, required = schema.get("minProperties"), schema.get("required")
    named = len(set(required)) if isinstance(required, list) and all(isinstance(key, str) for key in required) else 0
    if isinstance(least, int | float) and least > max(1, named):
        raise InvalidRequest(
            f"The JSON schema's minProperties ({least:g}) cannot be honoured: name that many properties in “required”."
        )


def _references(schema: Any) -> Iterator[str]:
    """Every `$ref` below, also those that stand in data; a reference is checked rather once too often."""
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for below in schema.values():
            yield from _references(below)
    elif isinstance(schema, list):
        for below in schema:
            yield from _references(below)


def _escape(name: str) -> str:
    """A name as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"
