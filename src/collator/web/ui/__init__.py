"""The page for the people on call, at `/`: files that are served as they are, and the session of who uses it.

The page asks the HTTP API alone, as any client does. What is here lets a browser be such a client: it keeps the token
in a cookie, and a request that has it counts as one with the token.
"""
