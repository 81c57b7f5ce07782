"""The dashboard: pages and a REST API on the catalog. ``dashboard.py`` starts it; docs/dashboard.md says the rest."""
