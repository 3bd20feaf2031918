"""Articles, their publications, and the search."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP, TSVECTOR

from hanse.migrations import create_kernel_tables_v1

revision = "0001"
down_revision = None
SCHEMA = "knowledge"


def upgrade() -> None:
    """Create the tables of the knowledge service."""
    # Trusted since PostgreSQL 13: the owner of the database may create it.
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public")
    create_kernel_tables_v1(op, SCHEMA)
    _create_article()
    _create_publication()
    _create_search_document()
    _create_known_word()


def _create_article() -> None:
    op.create_table(
        "article",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("summaries", JSONB(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("writers", ARRAY(sa.Text()), nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("create_time", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("update_time", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("publish_time", TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name="article_pk"),
        schema=SCHEMA,
    )
    op.create_index("article_by_create_time", "article", ["unit", "create_time", "name"], schema=SCHEMA)
    op.create_index(
        "article_by_source", "article", ["unit", "source"], unique=True, schema=SCHEMA, postgresql_where="source <> ''"
    )


def _create_publication() -> None:
    op.create_table(
        "publication",
        sa.Column("article", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("summaries", JSONB(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("publish_time", TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["article"], [f"{SCHEMA}.article.name"], name="publication_article_fk"),
        sa.PrimaryKeyConstraint("article", "version", name="publication_pk"),
        schema=SCHEMA,
    )


def _create_search_document() -> None:
    op.create_table(
        "search_document",
        sa.Column("article", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("words", TSVECTOR(), nullable=False),
        sa.ForeignKeyConstraint(
            ["article", "version"],
            [f"{SCHEMA}.publication.article", f"{SCHEMA}.publication.version"],
            name="search_document_article_version_fk",
        ),
        sa.PrimaryKeyConstraint("article", name="search_document_pk"),
        schema=SCHEMA,
    )
    op.create_index("search_document_by_words", "search_document", ["words"], schema=SCHEMA, postgresql_using="gin")


def _create_known_word() -> None:
    op.create_table(
        "known_word",
        sa.Column("word", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("word", name="known_word_pk"),
        schema=SCHEMA,
    )
    op.create_index(
        "known_word_by_word",
        "known_word",
        ["word"],
        schema=SCHEMA,
        postgresql_using="gin",
        postgresql_ops={"word": "public.gin_trgm_ops"},
    )
