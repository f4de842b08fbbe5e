"""How fast the client is, beside a bare loop on websockets and orjson: see README.md."""
