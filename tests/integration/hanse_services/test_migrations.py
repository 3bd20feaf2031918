"""The migrations of every service make what its models say."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import create_engine

from hanse.cli.schemas import PACKAGES
from hanse.database import with_driver
from hanse.migrations import migrate, service_migrations
from hanse.schema import ServiceSchema
from tests.support import MakeDatabase

COLUMNS = """
    SELECT table_name, column_name, data_type, udt_name, is_nullable, column_default, identity_generation,
           generation_expression, collation_name
    FROM information_schema.columns WHERE table_schema = %(schema)s AND table_name <> 'alembic_version'
"""
INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = %(schema)s AND tablename <> 'alembic_version'"
CONSTRAINTS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint
    WHERE connamespace = %(schema)s::regnamespace AND contype IN ('c', 'f', 'p', 'u', 'x')
      AND conrelid IS DISTINCT FROM to_regclass(%(schema)s || '.alembic_version')
"""


def is_written(package: str) -> bool:
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    return any((Path(folder) / "migrations" / "env.py").exists() for folder in folders or ())


WRITTEN = [package for package in PACKAGES if is_written(package)]


def described(connection: psycopg.Connection[tuple[object, ...]], schema: str) -> set[tuple[object, ...]]:
    """Describe a schema: its columns, indexes and constraints."""
    return {row for query in (COLUMNS, INDEXES, CONSTRAINTS) for row in connection.execute(query, {"schema": schema})}


def create_from_models(database_url: str, schema: ServiceSchema) -> None:
    engine = create_engine(with_driver(database_url, "psycopg"))
    schema.metadata.create_all(engine)
    engine.dispose()


@pytest.mark.parametrize("package", WRITTEN)
def test_the_migrations_make_what_the_models_say(package: str, make_database: MakeDatabase) -> None:
    schema, folder = service_migrations(package)
    url = make_database((schema, folder))
    name = sql.Identifier(schema.name)
    with psycopg.connect(url, autocommit=True) as connection:
        by_migrations = described(connection, schema.name)
        # What the migrations made moves aside, but stays: the models may need its extensions.
        connection.execute(sql.SQL("ALTER SCHEMA {} RENAME TO by_migrations").format(name))
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(name))
        create_from_models(url, schema)
        by_models = described(connection, schema.name)
    assert by_migrations - by_models == set(), "only the migrations make these"
    assert by_models - by_migrations == set(), "only the models make these"


@pytest.mark.parametrize("package", WRITTEN)
def test_migrating_twice_changes_nothing(package: str, make_database: MakeDatabase) -> None:
    schema, folder = service_migrations(package)
    url = make_database((schema, folder))
    with psycopg.connect(url) as connection:
        before = described(connection, schema.name)
    migrate(url, schema, folder)
    with psycopg.connect(url) as connection:
        assert described(connection, schema.name) == before
