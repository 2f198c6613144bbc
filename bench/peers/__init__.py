"""The same job by other means, beside Collator in the same run. Run it with ``make bench-peers``.

| system | what | durability of what was acknowledged |
|---|---|---|
| `collator` | Collator: SQLite, workers of the service | on the disk, synced |
| `collator-celery` | Collator: SQLite, one Celery worker (`-P solo`), Valkey | the same |
| `brief` | Flask, a Celery task for each packet, Redis (`brief.py`) | none: memory of Valkey |
| `chord` | a Celery chord for each resource, all packets at hand at once (`chord.py`) | none: memory of Valkey |

Each peer has the settings that gave it most: gunicorn with 2 processes of 8 threads; Celery with prefork, 2 processes,
32 messages fetched ahead, acknowledged early; Valkey writes nothing to the disk. Their libraries are in an environment
of their own (`requirements-peers.txt`). Peers get fewer resources than Collator, as they take longer for each.
"""
