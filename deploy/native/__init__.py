"""The native stack: real PostgreSQL and Redis and the engine's processes, under a supervisor."""
