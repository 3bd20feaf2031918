"""Runs the migrations of the federation's schema."""

from hanse.migrations import run_migrations
from hanse_federation.model import SCHEMA

run_migrations(SCHEMA)
