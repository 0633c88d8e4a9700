"""waman: an open, efficient foundation-language-model stack, from crawl to chat."""

__version__ = "0.1.0"
