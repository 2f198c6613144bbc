"""The same job by other means, beside Collator in the same run. Run it with ``make bench-peers``.

| system | what | given as | an ack means |
|---|---|---|---|
| `collator` | SQLite, workers of the service | stream, single POSTs | synced to the disk |
| `collator-celery` | SQLite, one Celery worker (`-P solo`), Valkey | the same | the same |
| `brief` | Flask, a Celery task for each packet, Redis | single POSTs | in the memory of Valkey |
| `chord` | a Celery chord for each resource | whole resources | the same |
| `taskiq` | a task for each packet on a stream of Redis | packets | the same |
| `restate` | a virtual object for each resource, Python SDK | packets | synced to the disk |
| `bullmq` | on Node, a job for each packet, collated by Lua | packets | in the memory of Valkey |
| `bullmq-flow` | on Node, a flow for each resource | whole resources | the same |
| `…-synced` | the same, `appendfsync always` | the same | synced to the disk |

Each peer has the settings that gave it most: gunicorn with 2 processes of 8 threads; Celery with prefork, 2 processes,
32 messages fetched ahead, acknowledged early; taskiq with 2 processes of 100 tasks; BullMQ with one worker process of
50 jobs; Restate with 4 partitions, no retention and HTTP/2. Their libraries are in environments of their own
(`requirements-peers.txt`, `package.json`). Slow peers get fewer resources.

A peer is a folder: `peer.py` starts it and gives it loads, the other files run in its own environment. All but
`brief` are given packets by a client of their own instead of by HTTP; its processor time is counted, as it stands where
Collator has its listener. The restate server asks for its newest release when it starts, and goes on without an answer.
"""
