"""The migrations make the tables that the model describes."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from hanse.database import with_driver
from hanse_federation.model import MIGRATIONS, SCHEMA
from tests.support import MakeDatabase


async def test_migrations_and_model_agree(make_database: MakeDatabase) -> None:
    engine = create_engine(with_driver(make_database((SCHEMA, MIGRATIONS)), "psycopg"))
    with engine.connect() as connection:
        options = {
            "version_table_schema": SCHEMA.name,
            "include_schemas": True,
            "include_name": lambda name, kind, _parents: kind != "schema" or name == SCHEMA.name,
            "compare_type": True,
        }
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, SCHEMA.metadata) == []
    engine.dispose()
