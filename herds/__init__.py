"""ElepHaaS: the application, in layers that import downwards only."""
