"""Runs the migrations of the ticket service's schema."""

from hanse.migrations import run_migrations
from hanse_services.ticket.model import SCHEMA

run_migrations(SCHEMA)
