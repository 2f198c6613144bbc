"""Measurements of Collator on this machine. It is no part of the package; run it from the root of a checkout.

    make bench                          all of the job below, three runs each; or python -m bench [--help]
    make bench BENCH_ARGS='--workers celery --broker rabbitmq'          the same with a Celery worker
    make bench-peers                    the same job by Celery, taskiq, BullMQ and Restate
    make compare                        this build beside another commit, in turns; python -m bench.compare --help
    python -m bench.live                a stream beside readers of events and senders over WebSocket, and the goals
    python -m bench.greedy              what honest senders feel of greedy clients
    python -m bench.processor           how calls to an HTTP processor with a limit, or with slow calls, fare
    python -m bench.limit_plots DIR     plots of the limit of calls, in a time that is made
    python -m bench.webhook_sender      CPU and rate of one POST, beside aiohttp

The job: a service, a sender and a receiver are started, each a process of its own. Resources of some packets, 50 under
way at a time, are sent as single POSTs over many connections, then as one stream, then at light load one by one; the
processor is the built-in one. More streams have 1, 1,000 and 100,000 packets a resource, or 3,000 resources under way
at once, one is beside 1,000 readers of events and 200 senders over WebSocket, and of one whose resources are kept for
some seconds the deletion is measured. Two more streams go to a processor of which 64 calls at a time wait, 100 ms and
10 ms. Beside that stands what disk, decoder and web server give by themselves. Every webhook is checked.

With ``--workers celery`` a broker and one worker process are started too, on the same cores: with the pool solo, and
with 64 threads for the calls that wait. ``--source`` measures the service, and the worker, of another checkout, with
the sender and the receiver of this one.
"""
