"""Runs the migrations of a service that has a log and nothing else."""

from alembic import context

from hanse.migrations import run_migrations

run_migrations(context.config.attributes["schema"])
