"""Runs the migrations of waiting's schema."""

from hanse.migrations import run_migrations
from hanse_workflows.model import SCHEMA

run_migrations(SCHEMA)
