"""The design of the brief: Flask, a Celery task for each packet, Redis between and beside."""
