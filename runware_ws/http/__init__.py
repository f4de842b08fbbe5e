"""Downloads over HTTP, with httpx and httpcore (extra ``http``).

`transfer` downloads one link, with as many requests as necessary. The requests are made by `pool`,
over kept connections, or by the caller's own httpx client (`borrowed`). `links` and `network` hold
the rules for the hosts and addresses that may be connected to.
"""
