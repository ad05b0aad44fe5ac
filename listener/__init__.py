"""The listener: from Redis Pub/Sub to Dramatiq messages."""
