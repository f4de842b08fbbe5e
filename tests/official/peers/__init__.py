"""What runs in the official clients' own environments, with the standard library beside it."""
