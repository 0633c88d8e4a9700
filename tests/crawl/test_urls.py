from urllib.robotparser import RobotFileParser

import pytest

from waman.crawl.robots import parse_robots
from waman.crawl.urls import host_of, normalise, path_segment


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTP://Example.COM:80/a/./b/../c#part", "http://example.com/a/c"),  # RFC 3986, sections 6.2.2 and 6.2.3
        ("https://example.com:443", "https://example.com/"),
        ("http://example.com:8080/", "http://example.com:8080/"),
        ("http://user:secret@example.com/", "http://example.com/"),
        ("http://example.com/%7ehome/%c3%a9?q=%41%2f", "http://example.com/~home/%C3%A9?q=A%2F"),
        ("http://example.com/한글 글", "http://example.com/%ED%95%9C%EA%B8%80%20%EA%B8%80"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://example.com/100%", "http://example.com/100%25"),
        ("http://example.com/../../a", "http://example.com/a"),
        ("http://[2001:DB8::1]:80/", "http://[2001:db8::1]/"),
        ("mailto:someone@example.com", None),
        ("javascript:void(0)", None),
        ("http://", None),
        ("http://example.com:port/", None),
        ("http://example.com/" + "a" * 2000, None),
    ],
)
def test_a_page_has_one_spelling(url: str, expected: str | None) -> None:
    assert normalise(url) == expected
    if expected is not None:
        assert normalise(expected) == expected


def test_links_are_read_from_their_page() -> None:
    assert normalise("../b.html#top", "http://a.test/x/y/z.html") == "http://a.test/x/b.html"
    assert normalise("?page=2", "http://a.test/list") == "http://a.test/list?page=2"
    assert normalise("//other.test/c", "https://a.test/") == "https://other.test/c"


def test_hosts_carry_a_port_that_is_not_the_usual_one() -> None:
    assert host_of("http://a.test:80/x") == "a.test"
    assert host_of("https://a.test:8443/x") == "a.test:8443"
    assert host_of("no url") == ""


def test_segments_of_a_path_come_without_the_ending_of_a_file() -> None:
    assert path_segment("http://a.test/json/json.decoder.html", 0) == "json"
    assert path_segment("http://a.test/json/json.decoder.html", 1) == "json.decoder"
    assert path_segment("http://a.test/", 0) is None


RULES = """
# comments and empty lines are no rules
User-agent: other
Disallow: /

User-agent: *
Disallow: /everyone

User-agent: Waman
User-agent: friend
Crawl-delay: 1.5
Disallow: /private      # a comment
Allow: /private/open
Disallow: /*.pdf$
Disallow: /search?*q=
Disallow:
"""


def test_robots_txt_is_read_as_its_standard_says() -> None:
    robots = parse_robots(RULES, "waman")
    allowed = {
        "/": True, "/everyone": True, "/private": False, "/private/x": False, "/private/open/x": True,
        "/a/b.pdf": False, "/a/b.pdf.html": True, "/search?x=1&q=2": False, "/search?x=1": True, "/%70rivate/x": False,
    }  # fmt: skip
    assert {path: robots.allows(f"http://a.test{path}") for path in allowed} == allowed
    assert robots.delay_seconds == 1.5
    assert not parse_robots(RULES, "stranger").allows("http://a.test/everyone")
    assert parse_robots(RULES, "stranger").delay_seconds is None


def test_the_rules_of_rfc_9309_section_2_2_2_hold() -> None:
    example = "User-agent: *\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n"
    robots = parse_robots(example, "waman")
    assert robots.allows("http://a.test/example/page/")
    assert not robots.allows("http://a.test/example/page/disallowed.gif")
    assert parse_robots("User-agent: *\nDisallow: /a\nAllow: /a\n", "waman").allows("http://a.test/a")


def test_simple_files_are_read_as_the_standard_library_reads_them() -> None:
    text = "User-agent: waman\nDisallow: /a\nDisallow: /b/\n\nUser-agent: *\nDisallow: /\n"
    reference = RobotFileParser()
    reference.parse(text.splitlines())
    for crawler in ("waman", "stranger"):
        robots = parse_robots(text, crawler)
        for path in ("/", "/a", "/ab", "/b", "/b/c", "/c"):
            assert robots.allows(f"http://a.test{path}") == reference.can_fetch(crawler, f"http://a.test{path}")


def test_a_pattern_of_five_hundred_stars_is_matched() -> None:
    """By backtracking, as a regular expression would, it never ended."""
    robots = parse_robots("User-agent: *\nDisallow: /" + "a*" * 500 + "b$\n", "waman")
    assert robots.allows("http://a.test/" + "a" * 1900)
    assert not robots.allows("http://a.test/" + "a" * 1900 + "b")
