"""Group commit: the calls that come while a commit runs are gathered, and committed together.

What makes groups of calls, takes them apart and answers them. A ledger puts the calls that come into `Groups.waiting`,
takes one group after the other and commits each in its own way, in a thread or on the event loop. So nothing here
waits, and nothing here knows a store, or what its errors mean.

| file | what lives there |
|---|---|
| `calls` | a verb as it is executed, a call of it, and what came of that |
| `kinds` | the verbs of the ledger |
| `groups` | which calls are committed together, and whose turn it is |
| `culprits` | a group that failed, in parts, until the error is that of one item |
| `parts` | the calls of a verb taken apart and put together, and what its culprit is answered |
| `answers` | the results: told to who waits, and kept for who asks again |
"""
