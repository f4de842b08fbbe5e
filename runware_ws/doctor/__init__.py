"""The doctor: checks of this machine and probes of the service, and the profile they make.

A probe asks the service one thing that nobody has documented. What it learns are `Findings`; a
`Profile` keeps them in a file, and `lessons` says which settings of the client follow from them.
The probes speak the protocol over a `RawConnection`, because a client hides the answers that they
are about.
"""
