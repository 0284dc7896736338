"""Discover, on a page of its own of a source: what it holds, and the way from ticked tables to a mapping."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.text import slugify

from connectors import mapping as contract
from connectors.errors import ConnectorError
from migrations_app import mapping_io, secrets
from migrations_app.admin import found, slots
from migrations_app.admin.editor import opening
from migrations_app.admin.found import Catalog
from migrations_app.admin.pages import fragment, page
from migrations_app.admin.posting import posted, shown, url_of, whole_number
from migrations_app.audit import Actor, actor_of
from migrations_app.models import Destination, Mapping, Source
from migrations_app.verbs import choosing, registering
from migrations_app.verbs.choosing import NoDraftError
from migrations_app.verbs.registering import Conditions, Wanted

_MAY_LOOK = "migrations_app.test_connection"
#: The editor shows a form for each; for more there is `*`.
MAX_SPECS = 200
_MAX_ID = 100


class DiscoveringAdmin:
    """An admin class of sources that can be explored."""

    @shown(_MAY_LOOK)
    def discover(self, request: HttpRequest, row: Source) -> HttpResponse:
        """The page; asking the source is a request of its own, since it may take a while."""
        mappings = row.mappings.filter(managed_by="").order_by("pk").values_list("pk", flat=True)
        return page(
            request,
            "pages/discover.html",
            f"Discover {row.name}",
            crumbs=[
                ("Sources", reverse("admin:migrations_app_source_changelist")),
                (row.name, reverse("admin:migrations_app_source_change", args=(row.pk,))),
            ],
            source=row,
            destinations=Destination.objects.order_by("name"),
            mappings=mappings,
            suggested_id=_free_id(slugify(row.name)[:_MAX_ID] or "mapping"),
            may_add=request.user.has_perm("migrations_app.add_mapping"),
            may_change=request.user.has_perm("migrations_app.change_mapping"),
        )

    def response_post_save_add(self, request: HttpRequest, obj: Source) -> HttpResponseRedirect:
        """Once a source is saved, its tables are to be chosen."""
        if request.user.has_perm(_MAY_LOOK):
            return HttpResponseRedirect(url_of(obj, "discover"))
        return super().response_post_save_add(request, obj)  # type: ignore[misc, no-any-return]

    @shown(_MAY_LOOK)
    def found(self, request: HttpRequest, row: Source) -> HttpResponse:
        """What it holds, as far as it is searched for; or a further page of one schema."""
        search = request.GET.get("q", "").strip()
        try:
            catalog = _catalog(row, anew="anew" in request.GET)
        except NoDraftError as error:
            return fragment(request, "parts/found.html", source=row, problem=str(error))
        if (schema := request.GET.get("schema")) is not None:
            part = found.page_of(catalog, search, schema, whole_number(request.GET.get("offset", "")) or 0)
            return fragment(request, "parts/found_tables.html", source=row, schema=part, search=search)
        schemas = found.schemas_of(catalog, search)
        return fragment(
            request,
            "parts/found.html",
            source=row,
            catalog=catalog,
            schemas=schemas,
            search=search,
            matching=sum(schema.total for schema in schemas),
        )

    @posted("migrations_app.add_mapping", is_audited=False)
    def draft(self, request: HttpRequest, row: Source) -> HttpResponse:
        """The ticked tables, as a mapping that the editor opens and nobody has saved."""
        try:
            mapping_id = _new_id(request)
            specs = _specs(request, row)
            destinations = _destinations(request)
        except NoDraftError as error:
            return _refused(request, error)
        document = {"source": row.name, "destinations": destinations, _specs_key(row): specs}
        key = opening.keep(request, mapping_id, document)
        return _gone_to(f"{reverse('admin:migrations_app_mapping_add')}?{opening.PARAMETER}={key}")

    @posted("migrations_app.change_mapping", is_audited=False)
    def extend(self, request: HttpRequest, row: Source) -> HttpResponse:
        """Put the ticked tables into a mapping that reads from this source already. Nothing of it runs by that."""
        mapping = row.mappings.filter(pk=request.POST.get("mapping", ""), managed_by="").first()
        try:
            if mapping is None:
                message = "choose the mapping that is to copy the tables, too"
                raise NoDraftError(message)
            _extend(mapping, _specs_key(row), _specs(request, row), by=actor_of(request))
        except NoDraftError as error:
            return _refused(request, error)
        return _gone_to(reverse("admin:migrations_app_mapping_change", args=(mapping.pk,)))


def _catalog(row: Source, *, anew: bool) -> Catalog:
    """What the source holds.

    Raises:
        NoDraftError: It cannot be asked; the message says why.
    """
    try:
        return found.catalog_of(row, anew=anew)
    except slots.BusyError as error:
        message = str(error)
    except contract.MappingError as error:
        message = "; ".join(str(issue) for issue in error.issues)
    except secrets.SecretUnreadableError as error:
        message = str(error)
    except ConnectorError as error:
        message = error.message
    raise NoDraftError(message)


def _specs(request: HttpRequest, row: Source) -> list[dict[str, Any]]:
    """The specs of what was ticked.

    Raises:
        NoDraftError: Nothing was, or it makes no mapping.
    """
    try:
        ticked = json.loads(request.POST.get("choices", ""))
    except ValueError:
        ticked = None
    catalog = _catalog(row, anew=False)
    specs = choosing.specs_of(catalog.tables, found.choices_of(ticked, catalog))
    if not specs:
        message = "nothing is ticked; tick the tables that are to be copied"
        raise NoDraftError(message)
    if len(specs) > MAX_SPECS:
        message = (
            f"{len(specs):,} tables are ticked, and the page of a mapping shows at most {MAX_SPECS}; tick fewer, make"
            " several mappings, or copy all by one spec with the table name *"
        )
        raise NoDraftError(message)
    return specs


def _extend(mapping: Mapping, specs_key: str, specs: list[dict[str, Any]], *, by: Actor) -> None:
    """Add what the mapping does not copy yet.

    Raises:
        NoDraftError: It copies all of it already, or it does not go together.
    """
    name_key = "table_name" if specs_key == "tables" else "collection_name"
    try:
        raw = mapping_io.load_raw(mapping)
        seen = _version_of(raw)
        known = {spec[name_key] for spec in raw[specs_key]}
        added = [spec for spec in specs if spec[name_key] not in known]
        if not added:
            message = f"{mapping.pk} copies all of that already"
            raise NoDraftError(message)
        raw[specs_key] = [*raw[specs_key], *added]
        parsed = registering.read(mapping.pk, raw)
        registering.register(Wanted(mapping.pk, raw, parsed), Conditions(etag=seen), by=by)
    except registering.StaleError:
        message = f"{mapping.pk} was changed in the same moment; try again"
        raise NoDraftError(message) from None
    except contract.MappingError as error:
        raise NoDraftError("; ".join(str(issue) for issue in error.issues)) from None
    except (registering.ConflictError, registering.LockedError, secrets.SecretUnreadableError) as error:
        raise NoDraftError(str(error)) from None


def _version_of(raw: dict[str, Any]) -> str | None:
    """The version of what is stored; None where it breaks the contract, as a mapping of an older release may."""
    try:
        return registering.etag_of(contract.parse_mapping(raw))
    except contract.MappingError:
        return None


def _new_id(request: HttpRequest) -> str:
    entered = request.POST.get("mapping_id", "").strip()
    if not entered or slugify(entered) != entered.lower() or len(entered) > _MAX_ID:
        message = f"give the mapping an id of letters, digits, - and _, at most {_MAX_ID} of them"
        raise NoDraftError(message)
    if Mapping.objects.filter(pk=entered).exists():
        message = f"there is a mapping {entered} already; choose another id, or add the tables to it"
        raise NoDraftError(message)
    return entered


def _destinations(request: HttpRequest) -> dict[str, str]:
    """The chosen destinations by the names that they get in the mapping, no two of them alike.

    Raises:
        NoDraftError: None is ticked, and there are some.
    """
    chosen = Destination.objects.filter(name__in=request.POST.getlist("destinations")).order_by("name")
    named: dict[str, str] = {}
    for row_name in chosen.values_list("name", flat=True):
        short = opening.short_name(row_name)
        named[row_name if short in named else short] = row_name
    if not named and Destination.objects.exists():
        message = "no destination is ticked; tick where the rows are to go"
        raise NoDraftError(message)
    return named


def _specs_key(row: Source) -> str:
    return contract.SourceType(row.source_type).specs_key


def _free_id(wanted: str) -> str:
    taken = set(Mapping.objects.filter(pk__startswith=wanted).values_list("pk", flat=True))
    numbered = (f"{wanted[: _MAX_ID - 4]}-{number}" for number in range(2, 1000))
    return next((each for each in (wanted, *numbered) if each not in taken), "")


def _refused(request: HttpRequest, error: NoDraftError) -> HttpResponse:
    return fragment(request, "parts/found_refused.html", problem=str(error))


def _gone_to(url: str) -> HttpResponse:
    """Let htmx leave the page."""
    return HttpResponse(headers={"HX-Redirect": url})
