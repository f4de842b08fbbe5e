"""The process of one client: it imports nothing that its own client does not need."""
