"""The outermost layer: the fast path, traces, metrics, identity."""
