"""Migrating the schema of a service: Alembic, one history for each schema, run from code.

A service's `migrations/env.py` is two lines that call `run_migrations`. Each schema has its own version table, so the
services of a unit migrate on their own.
"""

from datetime import datetime
from importlib import import_module
from pathlib import Path

import sqlalchemy as sa
from alembic import command, context
from alembic.config import Config
from alembic.operations import Operations
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.dialects.postgresql import TIMESTAMP

from hanse.columns import name_known_values
from hanse.database import with_driver
from hanse.schema import ServiceSchema


def alembic_config(schema: ServiceSchema, migrations: Path, connection: Connection) -> Config:
    """Return Alembic's configuration for one schema on one connection."""
    config = Config()
    config.set_main_option("script_location", str(migrations))
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, schema=schema)
    return config


def migrate(url: str, schema: ServiceSchema, migrations: Path) -> None:
    """Bring the schema of a service, and what is stored in it, to the newest version. Idempotent."""
    engine = create_engine(with_driver(url, "psycopg"))
    try:
        with engine.begin() as connection:
            connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema.name}"'))
            command.upgrade(alembic_config(schema, migrations, connection), "head")
            name_known_values(connection, schema.metadata)
    finally:
        engine.dispose()


def run_migrations(schema: ServiceSchema) -> None:
    """Run as the body of a service's `migrations/env.py`."""
    connection: Connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=schema.metadata,
        version_table_schema=schema.name,
        include_schemas=True,
        include_name=lambda name, kind, _parents: kind != "schema" or name == schema.name,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def service_migrations(package: str) -> tuple[ServiceSchema, Path]:
    """Return the schema of a service and the folder of its migrations.

    Every service keeps both in the same places: `SCHEMA` in the package's `model`, and `migrations/` beside that.
    """
    model = import_module(f"{package}.model")
    schema: ServiceSchema = model.SCHEMA
    return schema, Path(str(model.__file__)).parent / "migrations"


def create_kernel_tables_v1(op: Operations, schema: str) -> None:
    """Create the kernel's tables of version 1 in a service's schema: call it from the service's first migration.

    It is frozen: it says what the tables were when the first migrations were written, not what `hanse.schema` says
    today. A later version of the kernel's tables comes with a function of its own, called from a migration of its own.
    """
    _create_log_tables_v1(op, schema)
    _create_inbox_tables_v1(op, schema)
    op.create_table(
        "request",
        sa.Column("request_id", sa.Uuid, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("response", sa.LargeBinary, nullable=False),
        _time_v1("create_time"),
        sa.PrimaryKeyConstraint("request_id", name="request_pk"),
        schema=schema,
    )
    op.create_index("request_by_create_time", "request", ["create_time"], schema=schema)
    op.create_table(
        "policy",
        sa.Column("version", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("policy", sa.LargeBinary, nullable=False),
        _time_v1("enact_time"),
        sa.PrimaryKeyConstraint("version", name="policy_pk"),
        schema=schema,
    )


def add_dead_letter_outcomes_v2(op: Operations, schema: str) -> None:
    """Add to a service's dead letters what becomes of them: call it from a migration of the service. It is frozen."""
    table = "dead_letter"
    op.add_column(table, sa.Column("state", sa.Text, nullable=False, server_default="WAITING"), schema=schema)
    op.add_column(table, sa.Column("subject", sa.Text, nullable=False, server_default=""), schema=schema)
    op.add_column(table, _time_v1("last_try_time"), schema=schema)
    op.add_column(table, sa.Column("resolver", sa.Text, nullable=False, server_default=""), schema=schema)
    op.add_column(table, sa.Column("resolve_time", TIMESTAMP(timezone=True)), schema=schema)
    op.add_column(table, sa.Column("reason", sa.Text, nullable=False, server_default=""), schema=schema)
    op.create_index(
        "dead_letter_open", table, ["subject"], schema=schema, postgresql_where="state IN ('WAITING', 'HELD')"
    )


def create_erasure_table(op: Operations, schema: str) -> None:
    """Create the table of erased tickets: call it from a migration of the service. It is frozen."""
    op.create_table(
        "erasure",
        sa.Column("ticket", sa.Text, nullable=False),
        _time_v1("erase_time"),
        sa.PrimaryKeyConstraint("ticket", name="erasure_pk"),
        schema=schema,
    )


def add_policy_effective_time_v3(op: Operations, schema: str) -> None:
    """Add to a service's policies from when each is in force: call it from a migration of the service. It is frozen."""
    op.add_column("policy", _time_v1("effective_time"), schema=schema)
    # What is there already has been in force since it came.
    policy = sa.table("policy", sa.column("effective_time"), sa.column("enact_time"), schema=schema)
    op.execute(policy.update().values(effective_time=policy.c.enact_time))


def create_policy_override_table_v6(op: Operations, schema: str) -> None:
    """Create the table of what a unit tunes for itself: call it from a migration of the service. It is frozen."""
    op.create_table(
        "policy_override",
        sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("override", sa.LargeBinary, nullable=False),
        _time_v1("enact_time"),
        schema=schema,
    )


def _create_log_tables_v1(op: Operations, schema: str) -> None:
    op.create_table(
        "log_record",
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("occur_time", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("event", sa.LargeBinary, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        _time_v1("append_time"),
        sa.PrimaryKeyConstraint("stream", "epoch", "sequence", name="log_record_pk"),
        schema=schema,
    )
    _create_resource_index_v1(op, schema, "log_record")
    op.create_table(
        "log_head",
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        _time_v1("append_time"),
        sa.PrimaryKeyConstraint("stream", name="log_head_pk"),
        schema=schema,
    )
    op.create_table(
        "log_cursor",
        sa.Column("follower", sa.Text, nullable=False),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("follower", "stream", name="log_cursor_pk"),
        schema=schema,
    )


def _create_inbox_tables_v1(op: Operations, schema: str) -> None:
    op.create_table(
        "inbox",
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("occur_time", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("event", sa.LargeBinary, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        _time_v1("receive_time"),
        sa.PrimaryKeyConstraint("event_id", name="inbox_pk"),
        schema=schema,
    )
    _create_resource_index_v1(op, schema, "inbox")
    op.create_table(
        "dead_letter",
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("reaction", sa.Text, nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        _time_v1("create_time"),
        sa.PrimaryKeyConstraint("event_id", "reaction", name="dead_letter_pk"),
        schema=schema,
    )


def _create_resource_index_v1(op: Operations, schema: str, table: str) -> None:
    operators = {"resource": "text_pattern_ops"}
    op.create_index(f"{table}_by_resource", table, ["resource"], schema=schema, postgresql_ops=operators)


def _time_v1(name: str) -> sa.Column[datetime]:
    return sa.Column(name, TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now())
