from hanse.migrations import run_migrations
from hanse_services.policy.model import SCHEMA

run_migrations(SCHEMA)
