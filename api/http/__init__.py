"""Bodies, problems, answers and the OpenAPI document."""
