"""Each entry of a story has an address of its own, and can be cited as it was known."""

import re
from typing import Any

from tests.api import SUMSKAS, Api, citation, problem
from tests.pages.test_discovery import HOST
from tests.pages.test_every_page import STORY

Body = dict[str, Any]
TEXTS: Body = {"title": {"en": "A story"}, "summary": {"en": "It begins."}}
CITED: Body = {"citations": [citation()]}


async def test_every_entry_has_an_anchor_a_link_to_it_and_a_citation(seeded_api: Api) -> None:
    page = (await seeded_api.client.get(STORY, headers=HOST)).text
    anchors = re.findall(r'<li class="card" id="([nd]-[^"]+)">', page)
    links = re.findall(r'<a class="permalink screen" href="#([^"]+)"', page)
    citations = re.findall(r'aria-label="Cite"><code>(.*?)</code>', page, re.DOTALL)

    assert len(anchors) > 10
    assert links == anchors
    assert len(citations) == len(anchors)
    for anchor, text in zip(anchors, citations, strict=True):
        assert text.startswith("Crossing Status: ")
        assert f"Entry {anchor[2:]}, recorded 20" in text
        assert re.search(rf"http://status\.example{STORY}\?known_change=\d+#{anchor}$", text)


async def test_a_citation_leads_to_what_was_known(api: Api) -> None:
    """What is recorded later is not on that page, which says that it does not show the present."""
    story = (await api.post("/v1/incidents", TEXTS | CITED)).json()["id"]
    first = await api.declare(crossings=[SUMSKAS], incident=story)
    path = f"/incidents/{story}"
    page = (await api.client.get(path)).text
    (change,) = {*re.findall(r"known_change=(\d+)#", page)}
    second = await api.declare(crossings=[SUMSKAS], incident=story, status="open")

    cited = (await api.client.get(f"{path}?known_change={change}")).text
    assert f'id="d-{first["decision"]}"' in cited
    assert f'id="d-{second["decision"]}"' not in cited
    assert f"known_change={change}#" in cited
    assert 'class="notice past"' in cited
    assert "data-live" not in cited
    present = (await api.client.get(path)).text
    assert f'id="d-{second["decision"]}"' in present
    assert "data-live" in present


async def test_a_story_is_not_there_before_it_was_recorded(api: Api) -> None:
    story = (await api.post("/v1/incidents", TEXTS | CITED)).json()

    before = await api.client.get(f"/incidents/{story['id']}?known_change={story['change'] - 1}")
    problem(before, 404, "incident-not-found")
    unknown = await api.client.get(f"/incidents/{story['id']}?known_change=999999")
    problem(unknown, 422, "invalid")
