"""The load server: true to the protocol as far as it is asked, and fast."""
