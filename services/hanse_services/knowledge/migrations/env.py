"""Runs the migrations of the knowledge service's schema."""

from hanse.migrations import run_migrations
from hanse_services.knowledge.model import SCHEMA

run_migrations(SCHEMA)
