"""The HTTP app of Collator: a thin layer in front of the stages, and the guard that stands before it.

`app` puts it together, `server` opens the port. The way of a request: `guard` (is this one HTTP request, in time and
in size), `host_check` (may this client send requests), then `packets` and `ndjson` for what comes in, or `resources`
and `health` for views. A request with a single packet has a short way, from the connection to the intake
(`packet_connection`, `direct_packets`), on which the same modules judge it. Every refusal is an RFC 9457 problem from
the one catalogue in `problems`.
"""
