"""The ancillary service: what is done with one payload. Workers call it.

celery -A collator.workers.celery worker -l info        with COLLATOR_BROKER and COLLATOR_PROCESSOR=ancillary:lengths
"""


def lengths(payload: str) -> list[int]:
    """Return the length of each word; put your own, slow work here."""
    return [len(word) for word in payload.split()]
