"""Provide what tests share: peers that are not this project's own."""
