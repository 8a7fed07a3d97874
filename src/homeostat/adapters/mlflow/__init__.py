"""MLflow: a mirror of the registry on its tracking server."""
