"""A Celery app of one's own whose workers call the processor of Collator beside their other tasks.

celery -A tasks worker -Q celery,collator
"""

import os

from celery import Celery

from collator.settings import load
from collator.workers.celery.app import register

app = Celery("tasks", broker=os.environ["BROKER"])
register(app, load())


@app.task  # type: ignore[untyped-decorator]  # Celery has no types
def add(x: int, y: int) -> int:
    """Do something else."""
    return x + y
