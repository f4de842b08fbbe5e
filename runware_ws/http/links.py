"""Rules for links that may be downloaded.

A link comes from the service, and a redirect from any host that serves a link. So neither may reach
the local network: only https is followed, and only to public addresses. The exception is the host
in the caller's own URL of the service: the emulator serves its images over http on this machine.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import httpx

from ..errors import DownloadError
from ..settings import is_loopback

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_UNSPECIFIED = ("0.0.0.0", "::")  # noqa: S104  # in the links of a server that listens there


class LinkRules:
    """The rules for the links of one service.

    Args:
        service_url: URL of the service, as given by the caller.
    """

    def __init__(self, service_url: str) -> None:
        service = urlsplit(service_url)
        self._host = service.hostname or ""
        self._is_plain = service.scheme == "ws"

    def check(self, link: str | httpx.URL) -> httpx.URL:
        """Return a link as a URL, if it may be followed.

        Raises:
            DownloadError: it may not be followed, or is not a URL.
        """
        try:
            url = httpx.URL(link)
        except (httpx.InvalidURL, ValueError):
            raise DownloadError(str(link), "it is not a URL") from None
        if not url.host:
            raise DownloadError(str(link), "it is not a URL")
        is_plain = url.scheme == "http" and self._is_plain and self.is_own(url.host)
        if url.scheme != "https" and not is_plain:
            raise DownloadError(str(link), "only https is followed")
        return url

    def redirect(self, url: httpx.URL, location: str) -> httpx.URL:
        """Return the URL that a redirect leads to.

        Raises:
            DownloadError: it may not be followed.
        """
        if not location:
            raise DownloadError(str(url), "it redirects without a location")
        try:
            return self.check(url.join(location))
        except DownloadError as error:
            raise DownloadError(str(url), f"it redirects to {location}: {error.reason}") from None
        except (httpx.InvalidURL, ValueError):
            raise DownloadError(str(url), "it redirects to an invalid URL") from None

    def is_own(self, host: str) -> bool:
        """Return whether a host is that of the service, which the caller has chosen."""
        is_here = is_loopback(host) or host in _UNSPECIFIED
        return host == self._host or (is_here and is_loopback(self._host))


def is_public(address: IPAddress) -> bool:
    """Return whether an address is public, even if it is embedded in an IPv6 address."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:  # deprecated, and still in use
            return False
    return address.is_global and not address.is_multicast
