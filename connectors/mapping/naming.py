"""Names that are derived from a mapping: streams, and the schemas that rows arrive in."""

from connectors.mapping import env
from connectors.mapping.destination import PgsqlDestination, RedshiftDestination
from connectors.mapping.fields import MAX_IDENTIFIER_BYTES


def unique_id(mapping_id: str, name: str, destination_name: str) -> str:
    """The stable name of a stream: one table, collection, topic or API to one destination.

    Args:
        mapping_id: slug of the mapping.
        name: the table, collection, topic or API as the source spells it.
        destination_name: the key of the destination in the mapping.
    """
    return f"{mapping_id}_DMS_{name}_{destination_name}"


def default_schema(kind: str, db_name: str) -> str:
    """The schema that is used when a destination names none.

    Args:
        kind: sql, mongo, kafka or api, as `Source.kind` says.
        db_name: the source's db_name.
    """
    return f"{kind}_{db_name}_dms"


def destination_schema(kind: str, db_name: str, destination: PgsqlDestination | RedshiftDestination) -> str:
    """The schema that a destination writes to.

    Raises:
        ValueError: the default name is longer than PostgreSQL keeps; the sentence says what to do.
    """
    if destination.schema_name is not None:
        return destination.schema_name
    name = default_schema(kind, db_name)
    if not env.is_reference(db_name) and len(name.encode()) > MAX_IDENTIFIER_BYTES:
        message = (
            "is needed here: the default, made from the source's db_name, would be longer than"
            f" {MAX_IDENTIFIER_BYTES} bytes; name a shorter schema"
        )
        raise ValueError(message)
    return name
