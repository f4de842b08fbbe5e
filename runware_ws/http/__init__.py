"""Downloads over HTTP, on httpx and httpcore (extra ``http``).

`transfer` makes one download out of as many requests as it takes. The requests are made by `pool`,
over connections that are kept, or by an httpx client of the caller's (`borrowed`). `links` and
`network` hold the rules for where a download may lead.
"""
