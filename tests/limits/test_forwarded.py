"""The `Forwarded` header of RFC 7239: read strictly, and never as its sender would like."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from app.http.forwarded import UNKNOWN, ForwardedMiddleware, Hop, parse_forwarded

PROXY, INNER_PROXY, CLIENT, OTHER = "127.0.0.1", "10.0.0.7", "192.0.2.60", "198.51.100.17"

NAMES = st.from_regex(r"_[A-Za-z0-9._-]{1,63}", fullmatch=True)
CLIENTS = st.one_of(
    st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str), NAMES, st.just(UNKNOWN)
)
HOPS = st.builds(
    Hop,
    client=CLIENTS,
    port=st.integers(0, 65535),
    scheme=st.sampled_from([None, "http", "https"]),
)
"""Port 0 is left out."""
SPACES = st.text(" \t", max_size=2)
PADDED = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


@st.composite
def spellings(draw: st.DrawFn, hop: Hop) -> str:
    """Spell a hop in one of the many ways in which the grammar lets it be spelt."""
    node = f"[{hop.client}]" if ":" in hop.client else hop.client
    node += f":{hop.port}" if hop.port else ""
    is_token = not set(node) & set("[]:")
    pairs = {"for": node if is_token and draw(st.booleans()) else quoted(draw, node)}
    if hop.scheme is not None:
        pairs["proto"] = draw(st.sampled_from([hop.scheme, hop.scheme.upper(), f'"{hop.scheme}"']))
    if draw(st.booleans()):
        pairs["by"] = "_proxy"
    if draw(st.booleans()):
        pairs["host"] = quoted(draw, draw(PADDED))
    names = draw(st.permutations(sorted(pairs)))
    separator = f"{draw(SPACES)};{draw(SPACES)}"
    return separator.join(
        f"{name.title() if draw(st.booleans()) else name}={pairs[name]}" for name in names
    )


def quoted(draw: st.DrawFn, value: str) -> str:
    """Return a quoted string, in which any character may be escaped and some must be."""
    escaped = ("\\" + one if one in '"\\' or draw(st.booleans()) else one for one in value)
    return f'"{"".join(escaped)}"'


@given(data=st.data(), hops=st.lists(HOPS, min_size=1, max_size=4))
def test_every_spelling_is_read_as_what_it_means(data: st.DataObject, hops: list[Hop]) -> None:
    header = ",".join(
        f"{data.draw(SPACES)}{data.draw(spellings(hop))}{data.draw(SPACES)}" for hop in hops
    )

    assert parse_forwarded(header) == hops


@given(header=st.text(st.characters(max_codepoint=255)))
def test_whatever_is_sent_something_is_read(header: str) -> None:
    for hop in parse_forwarded(header):
        assert hop.scheme in {None, "http", "https"}
        assert hop.client in {UNKNOWN, hop.client[:64]}


@given(
    sent=st.one_of(
        st.text(st.characters(max_codepoint=255)),
        st.lists(st.sampled_from(['"', "\\", ",", ";", "=", " ", "for", "x", "127.0.0.1"])).map(
            "".join
        ),
    ),
    added=st.sampled_from(
        [f"for={CLIENT}", f'for="{CLIENT}:80";proto=https', 'For="[2001:db8::60]"', "for=_a1"]
    ),
)
def test_what_a_client_sends_first_never_names_another_client(sent: str, added: str) -> None:
    """The proxy adds its element: that is read, or nothing is."""
    (read,) = parse_forwarded(added)

    assert parse_forwarded(f"{sent}, {added}")[-1] in {read, Hop(UNKNOWN, 0, None)}


@pytest.mark.parametrize(
    "header",
    [
        "", ",", "for", "for=", "for=192.0.2.1;", ";for=192.0.2.1", "for=192.0.2.1,,for=192.0.2.2",
        "for = 192.0.2.1", 'for="192.0.2.1', "for='192.0.2.1'", "for=[2001:db8::1]",
        'for="2001:db8::1"', "for=192.0.2.1:80", "for=192.0.2.300", "for=192.0.2", 'for="[::1"',
        "for=192.0.2.1;for=192.0.2.2", "for=example.org", 'for="192.0.2.1" x',
        "for=192.0.2.1, " * 2_000 + "for=192.0.2.1",
    ],
)  # fmt: skip
def test_what_is_not_valid_as_a_whole_is_from_an_unknown_client(header: str) -> None:
    assert parse_forwarded(header) == [Hop(UNKNOWN, 0, None)]


def test_the_examples_of_the_standard() -> None:
    assert parse_forwarded('for="_gazonk"') == [Hop("_gazonk", 0, None)]
    assert parse_forwarded('For="[2001:db8:cafe::17]:4711"') == [
        Hop("2001:db8:cafe::17", 4711, None)
    ]
    assert parse_forwarded("for=192.0.2.60;proto=http;by=203.0.113.43") == [
        Hop("192.0.2.60", 0, "http")
    ]
    assert parse_forwarded("for=192.0.2.43, for=198.51.100.17") == [
        Hop("192.0.2.43", 0, None),
        Hop("198.51.100.17", 0, None),
    ]


@pytest.mark.parametrize(
    ("header", "client", "scheme"),
    [
        (f"for={CLIENT};proto=https", CLIENT, "https"),
        (f"for={OTHER};proto=http, for={CLIENT};proto=https", CLIENT, "https"),
        (f"for={OTHER}, for={CLIENT};proto=https, for={INNER_PROXY};proto=http", CLIENT, "https"),
        (f"for={CLIENT}", CLIENT, "http"),
        (f"for={CLIENT};proto=gopher", CLIENT, "http"),
        (f"for={CLIENT};host=evil.example", CLIENT, "http"),
        ("for=_hidden;proto=https", "_hidden", "https"),
        (f"for={OTHER}, for=unknown", UNKNOWN, "http"),
        ("proto=https", UNKNOWN, "https"),
        (f"for={OTHER};proto=https, nonsense", UNKNOWN, "http"),
        (f"for={INNER_PROXY}, for={PROXY}", INNER_PROXY, "http"),
        (None, PROXY, "http"),
    ],
)
async def test_the_client_is_whom_the_outermost_trusted_proxy_names(
    header: str | None, client: str, scheme: str
) -> None:
    assert await seen_from(PROXY, header) == (client, scheme)


async def test_others_than_proxies_are_not_believed() -> None:
    assert await seen_from(OTHER, f"for={CLIENT};proto=https") == (OTHER, "http")


async def seen_from(peer: str, header: str | None) -> tuple[str, str]:
    """Return client and scheme of a request that such a peer sends."""
    seen: list[tuple[str, str]] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        del receive, send
        seen.append((scope["client"][0], scope["scheme"]))

    headers = [] if header is None else [(b"forwarded", header.encode("latin-1"))]
    headers.append((b"x-forwarded-for", OTHER.encode()))
    scope = {"type": "http", "client": (peer, 1234), "scheme": "http", "headers": headers}
    middleware = ForwardedMiddleware(application, f"{PROXY}, {INNER_PROXY}/32")
    await middleware(scope, receive, send)
    (found,) = seen
    return found


async def receive() -> Message:
    raise AssertionError("nothing is read")


async def send(_: Message) -> None:
    raise AssertionError("nothing is sent")
