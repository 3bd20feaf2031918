"""Etags (AIP-154): a change is refused where its caller saw another state than the one that there is."""

from hanse.errors import EtagMismatch


def check_etag(resource: str, current: str, etag: str) -> None:
    """Raise EtagMismatch where `etag` is not the current one of a resource; an empty etag takes any."""
    if etag and etag != current:
        raise EtagMismatch(resource=resource, etag=etag, current=current)
