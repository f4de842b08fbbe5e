"""The doctor: checks of this machine, probes of the service, and the profile that they fill.

A probe tests one behaviour of the service that is not documented. The results are `Findings`. A
`Profile` keeps them in a file, and `adjustments` derives settings of the client from them. Probes
use a `RawConnection`, because a client would hide the answers that they examine.
"""
