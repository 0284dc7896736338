"""Bundles: mappings that are registered together."""

from __future__ import annotations

import re
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from connectors.mapping import MappingError
from migrations_app import impact
from migrations_app.api.bodies import read_body, read_file
from migrations_app.api.mapping_shapes import BundleApplied, BundleBody, BundleQuery, BundleShape, registered
from migrations_app.api.mappings import NOT_AN_ID, is_id, tested
from migrations_app.api.problems import Mistake, Problem, mistakes, not_found
from migrations_app.api.view import ApiView, answer, operation
from migrations_app.enums import Scope
from migrations_app.impact import Impact
from migrations_app.models import Mapping
from migrations_app.verbs import bundles, registering
from migrations_app.verbs.connections import TestedEnd
from migrations_app.verbs.registering import Conditions, Marker, Wanted

_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
_FILE_KEYS = {"file", "text"}


class BundleView(ApiView):
    """One bundle."""

    @operation(
        "get_bundle",
        "Read a bundle",
        scope=Scope.MAPPING_READ,
        answers={200: BundleShape},
        refusals=(404,),
    )
    def get(self, _request: Request, bundle: str) -> Response:
        """The ids of the mappings that it owns."""
        owned = Mapping.objects.filter(bundle=bundle) if _NAME.fullmatch(bundle) else Mapping.objects.none()
        ids = list(owned.order_by("pk").values_list("pk", flat=True))
        if not ids:
            raise not_found(bundle, noun="bundle")
        return answer(BundleShape(bundle=bundle, mappings=ids))

    @operation(
        "put_bundle",
        "Register a set of mappings",
        scope=Scope.MAPPING_WRITE,
        query=BundleQuery,
        body=BundleBody,
        answers={200: BundleApplied},
        refusals=(409, 423, 424),
    )
    def put(self, request: Request, bundle: str) -> Response:
        """All of them or none, in one transaction.

        With `prune`, mappings that this bundle owns and that the body does not hold are forgotten; others are never
        touched. Mappings that belong to another bundle are refused (409).
        """
        query: Any = self.query
        if query.connect:
            self.need(Scope.CONNECTION_TEST)
        if not _NAME.fullmatch(bundle):
            detail = "the name of a bundle is made of letters, digits, dashes and underscores, at most 100 of them"
            mistake = Mistake(parameter="bundle", code="invalid", detail=detail)
            raise Problem(422, "document_invalid", detail, errors=[mistake])
        body = read_body(request, BundleBody)
        wanted = _read_all(body)
        tests = {
            each.mapping_id: tested(each.mapping_id, each.parsed, dry_run=query.dry_run)
            for each in (wanted if query.connect else [])
        }
        conditions = Conditions(allow=Impact(query.allow), bundle=bundle)
        applied = bundles.apply(bundle, wanted, conditions, prune=query.prune, dry_run=query.dry_run, by=self.actor)
        return answer(_applied(bundle, applied, tests, dry_run=query.dry_run))


def _read_all(body: BundleBody) -> list[Wanted]:
    """Every document of the bundle; the mistakes of all of them together."""
    keeper = body.keeper
    origin = {name: getattr(keeper, name) for name in ("repository", "commit") if getattr(keeper, name, None)}
    marker = Marker(keeper.managed_by, origin) if keeper else Marker("", {})
    wanted: list[Wanted] = []
    wrong: list[Mistake] = []
    for mapping_id, given in body.mappings.items():
        at = "/mappings/" + mapping_id.replace("~", "~0").replace("/", "~1")
        if not is_id(mapping_id):
            wrong.append(Mistake(pointer=at, code="invalid", detail=NOT_AN_ID))
            continue
        try:
            raw = _document(given, at)
            wanted.append(Wanted(mapping_id, raw, registering.read(mapping_id, raw), marker))
        except MappingError as error:
            wrong += mistakes(error.issues, at)
        except Problem as problem:
            wrong += problem.errors or [Mistake(pointer=at, code=problem.code, detail=problem.detail)]
    if wrong:
        detail = f"{len(wrong)} mistake{'' if len(wrong) == 1 else 's'}; each is listed under errors"
        raise Problem(422, "document_invalid", detail, errors=wrong)
    return wanted


def _document(given: dict[str, Any], at: str) -> dict[str, Any]:
    if given.keys() == _FILE_KEYS and all(isinstance(value, str) for value in given.values()):
        return read_file(given["text"], given["file"], at)
    return given


def _applied(
    bundle: str, applied: bundles.Applied, tests: dict[str, list[TestedEnd]], *, dry_run: bool
) -> BundleApplied:
    shapes = [registered(made, dry_run=dry_run, tests=tests.get(made.mapping_id)) for made in applied.registrations]
    changes = [change for made in applied.registrations for change in made.changes]
    return BundleApplied(
        bundle=bundle,
        changed=any(shape.changed for shape in shapes) or bool(applied.pruned),
        dry_run=dry_run,
        impact=impact.greatest(changes),
        mappings=shapes,
        pruned=applied.pruned,
        kept=applied.kept,
    )
