"""Runs the migrations of the ticket service's schema; the tables of complaints are a part of it."""

import hanse_services.ticket.complaints.model  # noqa: F401
from hanse.migrations import run_migrations
from hanse_services.ticket.model import SCHEMA

run_migrations(SCHEMA)
