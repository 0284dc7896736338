"""Whether callers of one OpenAPI document can go on with another: what they send is taken, what they read is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]

_JSON = "application/json"


def breaks(old: Document, new: Document) -> list[str]:
    """Everything that a caller of the old document would stumble over, each as a sentence."""
    return list(_Comparison(old, new).problems())


class _Comparison:
    def __init__(self, old: Document, new: Document) -> None:
        self._old = old
        self._new = new

    def problems(self) -> Iterator[str]:
        for path, methods in self._old["paths"].items():
            for method, old in methods.items():
                place = f"{method.upper()} {path}"
                new = self._new["paths"].get(path, {}).get(method)
                if new is None:
                    yield f"{place} is gone"
                else:
                    yield from self._operation(place, old, new)

    def _operation(self, place: str, old: Document, new: Document) -> Iterator[str]:
        if old["operationId"] != new["operationId"]:
            yield f"{place} is called {new['operationId']} instead of {old['operationId']}"
        if new.get("x-scope") not in {None, old.get("x-scope")}:
            yield f"{place} needs another scope"
        yield from self._parameters(place, old, new)
        yield from self._body(place, old, new)
        for status, response in old["responses"].items():
            if status not in new["responses"]:
                yield f"{place} does not answer {status} any more"
            elif status.startswith("2"):
                was, now = _content(response), _content(new["responses"][status])
                yield from self._answer(f"{place} {status}", was, now, frozenset())

    def _parameters(self, place: str, old: Document, new: Document) -> Iterator[str]:
        was = {(each["in"], each["name"]): each for each in old.get("parameters", ())}
        now = {(each["in"], each["name"]): each for each in new.get("parameters", ())}
        for key, each in was.items():
            name = f"{place}: {key[0]} parameter {key[1]}"
            if key not in now:
                yield f"{name} is gone"
            else:
                yield from self._sent(name, each.get("schema", {}), now[key].get("schema", {}), frozenset())
        for key, each in now.items():
            if each.get("required") and not was.get(key, {}).get("required"):
                yield f"{place}: {key[0]} parameter {key[1]} is required now"

    def _body(self, place: str, old: Document, new: Document) -> Iterator[str]:
        was, now = old.get("requestBody", {}), new.get("requestBody", {})
        if now.get("required") and not was.get("required"):
            yield f"{place} requires a body now"
        for media_type in was.get("content", {}).keys() - now.get("content", {}).keys():
            yield f"{place} does not take {media_type} any more"
        yield from self._sent(f"{place} body", _content(was), _content(now), frozenset())

    def _sent(self, place: str, old: Document, new: Document, seen: frozenset[str]) -> Iterator[str]:
        """What was taken has to be taken still."""
        yield from self._both(place, old, new, seen, is_sent=True)

    def _answer(self, place: str, old: Document, new: Document, seen: frozenset[str]) -> Iterator[str]:
        """What was there has to be there still."""
        yield from self._both(place, old, new, seen, is_sent=False)

    def _both(self, place: str, old: Document, new: Document, seen: frozenset[str], *, is_sent: bool) -> Iterator[str]:
        reference = old.get("$ref", "")
        if reference in seen:
            return
        seen |= {reference} if reference else set()
        old, new = _resolved(self._old, old), _resolved(self._new, new)
        if _types(old) and _types(new):
            wide, narrow = (_types(new), _types(old)) if is_sent else (_types(old), _types(new))
            if not narrow <= wide:
                yield f"{place} is of type {_words(new)} instead of {_words(old)}"
                return
        if "enum" in old and "enum" in new and is_sent and not set(old["enum"]) <= set(new["enum"]):
            yield f"{place} does not take {', '.join(sorted(set(old['enum']) - set(new['enum'])))} any more"
        yield from self._keys(place, old, new, seen, is_sent=is_sent)
        if "items" in old and "items" in new:
            yield from self._both(f"{place}[]", old["items"], new["items"], seen, is_sent=is_sent)
        for number, (was, now) in enumerate(zip(_options(old), _options(new), strict=False)):
            yield from self._both(f"{place} (form {number + 1})", was, now, seen, is_sent=is_sent)
        if is_sent and len(_options(new)) < len(_options(old)):
            yield f"{place} takes fewer forms"

    def _keys(self, place: str, old: Document, new: Document, seen: frozenset[str], *, is_sent: bool) -> Iterator[str]:
        was, now = old.get("properties", {}), new.get("properties", {})
        for key in was:
            if key not in now:
                yield f"{place}.{key} is gone"
            else:
                yield from self._both(f"{place}.{key}", was[key], now[key], seen, is_sent=is_sent)
        required_before, required_now = set(old.get("required", ())), set(new.get("required", ()))
        if is_sent:
            yield from (f"{place}.{key} is required now" for key in sorted(required_now - required_before))
        else:
            lost = (required_before - required_now) & now.keys()
            yield from (f"{place}.{key} may be missing now" for key in sorted(lost))


def _content(part: Document) -> Document:
    found: Document = part.get("content", {}).get(_JSON, {}).get("schema", {})
    return found


def _resolved(document: Document, schema: Document) -> Document:
    while "$ref" in schema:
        part: Any = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            part = part[step]
        schema = part
    return schema


def _types(schema: Document) -> set[str]:
    kind = schema.get("type")
    listed = set(kind) if isinstance(kind, list) else {kind} if kind else set()
    # Every whole number is a number.
    return listed | ({"integer"} if "number" in listed else set())


def _words(schema: Document) -> str:
    return ", ".join(sorted(_types(schema)))


def _options(schema: Document) -> list[Document]:
    return [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
