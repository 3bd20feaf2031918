"""Which packages keep a schema in a unit's database, in the order in which `hanse migrate` brings them up to date."""

from hanse.migrations import migrate, service_migrations

PACKAGES = (
    "hanse_services.policy",
    "hanse_services.ticket",
    "hanse_services.knowledge",
    "hanse_services.settlement",
    "hanse_federation",
    "hanse_gateway",
    "hanse_workflows",
)


def migrate_all(database_url: str) -> None:
    """Bring every schema of a unit to its newest version. Idempotent."""
    for package in PACKAGES:
        schema, folder = service_migrations(package)
        migrate(database_url, schema, folder)
