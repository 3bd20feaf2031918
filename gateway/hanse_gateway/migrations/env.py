"""Runs the migrations of the gateway's schema."""

from hanse.migrations import run_migrations
from hanse_gateway.model import SCHEMA

run_migrations(SCHEMA)
