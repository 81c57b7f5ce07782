"""What happened: every run, its archive and its copies, every check of a copy, and since when each
schedule stands.

A cache that the manifests on the targets can rebuild. SQLite in the state folder, or PostgreSQL by a URL.
Import this package only where the catalog is used: SQLAlchemy takes a fifth of a second.
"""

from catalog.catalog import Catalog, open_catalog
from catalog.check_queries import LastChecks
from catalog.queries import LastRuns
from catalog.standing_queries import StandingFacts

__all__ = ["Catalog", "LastChecks", "LastRuns", "StandingFacts", "open_catalog"]
