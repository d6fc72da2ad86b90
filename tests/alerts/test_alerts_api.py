"""Who asks to be told: what is refused, how often it may be asked, and what is kept of them."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from app.alerts.models import Alert
from app.alerts.push import PushAddress, VapidKey, _decoded, encrypted
from app.commands.secrets import rotate_secrets
from app.encryption import Cipher, new_secret_key
from tests.alerts.browsers import Browser
from tests.alerts.conftest import Alerts
from tests.api import SUMSKAS, Json, fields_of, problem
from tests.conftest import SECRET_KEY, Database

BROWSER = Browser("https://push.example.com/a")
INSIDE = "https://[::ffff:169.254.169.254]/"


def subscription(endpoint: str = BROWSER.endpoint, **keys: str) -> Json:
    """Return a browser's subscription with another endpoint or another key."""
    own = BROWSER.subscription["keys"]
    assert isinstance(own, dict)
    return {"endpoint": endpoint, "keys": {**own, **keys}}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"crossings": []}, "body"),
        ({"crossings": ["nowhere"]}, "crossings"),
        ({"crossings": [SUMSKAS] * 51}, "crossings"),
        ({"crossings": [], "borders": ["LT-SE"]}, "borders"),
        ({"traffic": "rocket"}, "traffic"),
        ({"traffic": "train"}, "traffic"),
        ({"to": "XX"}, "to"),
        ({"language": "tlh"}, "language"),
        ({"more": 1}, "more"),
        ({"subscription": subscription(p256dh="AA")}, "subscription.keys"),
        ({"subscription": subscription(p256dh="B" * 87)}, "subscription.keys"),
        ({"subscription": subscription(auth="AA")}, "subscription.keys"),
        ({"subscription": subscription("mailto:a@b.c")}, "subscription.endpoint"),
        ({"subscription": subscription("https://10.0.0.1/")}, "subscription.endpoint"),
        ({"subscription": subscription(INSIDE)}, "subscription.endpoint"),
        ({"subscription": subscription("http://push.example.com/")}, "subscription.endpoint"),
    ],
)  # fmt: skip
async def test_what_cannot_be_told_is_refused(
    quiet: Alerts, fields: dict[str, object], named: str
) -> None:
    """It names the field, and nothing is stored. An endpoint may lead to public addresses only."""
    refused = await quiet.ask(BROWSER, **fields)

    assert named in fields_of(problem(refused, 422, "invalid"))
    assert quiet.count() == 0


async def test_one_client_may_ask_some_times_an_hour(seeded: Database, vapid: Path) -> None:
    async with seeded.api(vapid_key=vapid, rate_limit_alerts=3) as api:
        alerts = Alerts(api, seeded, vapid)
        answers = [await alerts.ask(BROWSER) for _ in range(1_000)]

    assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 997
    assert int(answers[-1].headers["retry-after"]) > 600
    assert alerts.count() == 3


async def test_there_are_so_many_alerts_at_most(seeded: Database, vapid: Path) -> None:
    async with seeded.api(vapid_key=vapid, alerts_limit=2) as api:
        alerts = Alerts(api, seeded, vapid)
        answers = [await alerts.ask(BROWSER) for _ in range(3)]

    problem(answers[2], 503, "alerts-full")
    assert alerts.count() == 2


async def test_a_service_without_keys_and_mail_server_offers_nothing(seeded: Database) -> None:
    async with seeded.api() as api:
        asked = await api.client.post("/alerts/push", json={})
        page = await api.client.get(f"/crossings/{SUMSKAS}")

    assert asked.status_code == 404
    assert "tell-me" not in page.text


async def test_the_address_is_encrypted_and_its_key_can_be_rotated(
    quiet: Alerts, seeded: Database
) -> None:
    alert = await quiet.begin(BROWSER)
    with seeded.connect() as connection:
        ((row,),) = connection.execute("SELECT alert::text FROM alert").fetchall()
        assert "push.example.com" not in row
        assert str(alert["token"]) not in row

    new = new_secret_key()
    async with seeded.session() as session:
        assert await rotate_secrets(session, cipher=Cipher([new, SECRET_KEY])) == 1
    with seeded.connect() as connection:
        ((token,),) = connection.execute("SELECT recipient FROM alert").fetchall()

    recipient = json.loads(Cipher([new]).decrypt(token))
    assert recipient["push"]["endpoint"] == BROWSER.endpoint
    assert Alert.recipient.info == {"encrypted": True}


async def test_lists_and_quotas_of_webhooks_do_not_have_alerts(quiet: Alerts) -> None:
    await quiet.begin(BROWSER)

    headers = {"Authorization": f"Bearer {quiet.api.key}"}
    listed = await quiet.api.client.get("/v1/subscriptions", headers=headers)

    assert listed.json()["items"] == []


def test_messages_are_encrypted_as_in_the_example_of_rfc_8291() -> None:
    """Its section 5 and appendix A."""
    address = PushAddress(
        "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV",
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "BTBZMqHH6r4Tts7J_aSIgg",
    )
    own = ec.derive_private_key(
        int.from_bytes(_decoded("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), "big"),
        ec.SECP256R1(),
    )

    body = encrypted(
        b"When I grow up, I want to be a watermelon",
        address._public_key,
        _decoded(address.auth),
        own_key=own,
        salt=_decoded("DGv6ra1nlYgDCS1FRnbzlw"),
    )

    assert body == _decoded(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6"
        "TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy"
        "4a-fN"
    )


async def test_the_metrics_say_how_many_alerts_there_are(quiet: Alerts) -> None:
    await quiet.begin(BROWSER)

    metrics = (await quiet.api.get("/metrics")).text

    assert 'crossings_alerts{channel="push"} 1.0' in metrics
    assert 'crossings_alert_deliveries{channel="email"} 0.0' in metrics


def test_a_key_that_is_not_one_of_p_256_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vapid.key"
    path.write_text("none", encoding="ascii")

    with pytest.raises(ValueError, match="is not an unencrypted private key in PEM"):
        VapidKey.read(path)
