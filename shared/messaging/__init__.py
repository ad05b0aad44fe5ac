"""Messaging between the processes: broker, messages, channels and Redis clients."""
