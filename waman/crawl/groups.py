"""Which documents are held out together."""

from waman.crawl.recipe import ByField, ByFile, ByHost, ByPathSegment, ByRecord, Group
from waman.crawl.urls import host_of, path_segment


def group_of(group: Group | None, url: str | None, *, file: str, record: str, field: str | None = None) -> str:
    """The group of a page or row; where the URL or field that should tell is missing, the next best thing."""
    host = host_of(url) if url else ""
    match group:
        case ByFile():
            return file
        case ByRecord():
            return record
        case ByField():
            return field or host or record
        case ByPathSegment(segment=segment):
            return (path_segment(url, segment) if url else None) or host or record
        case ByHost():
            return host or record
        case None:
            return field or host or record
