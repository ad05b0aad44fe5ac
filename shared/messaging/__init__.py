"""Between the processes: the broker, the messages, the channels, the trace context."""
