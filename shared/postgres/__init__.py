"""PostgreSQL: pools, traced cursors, arrays, migrations."""
