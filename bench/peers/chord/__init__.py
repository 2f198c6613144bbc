"""A Celery chord for each resource."""
