from hanse.migrations import run_migrations
from hanse_services.settlement.model import SCHEMA

run_migrations(SCHEMA)
