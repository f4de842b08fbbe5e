"""Run in the official clients' own environments, with the standard library alone beside them."""
