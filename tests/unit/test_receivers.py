"""Whom a client may have called: the URL at submission, the address at the call."""

import pytest

from essaim.errors import CallbackRefusedError, SettingsError
from essaim.jobs.receivers import LONGEST_URL, Receivers, patterns
from essaim.jobs.settings import load_settings

SECRET = "x" * 24
PUBLIC = Receivers(patterns("hooks.example.com, *.example.org, 8.8.8.8, [2606:4700::1111], localhost"), private=False)
INSIDE = Receivers(patterns("hooks.example.com, 127.0.0.1"), private=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com",
        "https://hooks.example.com/",
        "https://HOOKS.example.com:8443/done?for=7&x=%C3%A9",
        "https://a.example.org/",
        "https://a.b.example.org/",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]:444/",
        "https://[2606:4700:0::1111]/",
    ],
)
def test_a_host_on_the_list_may_be_called(url: str) -> None:
    assert PUBLIC.check(url).scheme == "https"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/path",
        "//hooks.example.com/",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "http://hooks.example.com/",
        "https:hooks.example.com",
        "https:///hooks.example.com",
        "https://",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:99999/",
        "https://hooks.example.com:x/",
        "https://ann@hooks.example.com/",
        "https://ann:secret@hooks.example.com/",
        "https://@hooks.example.com/",
        "https://hooks.example.com/#part",
        "https://hooks.example.com/#",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/é",
        "https://hooks.example.com\\@evil.example/",
        "https://hooks.example.com\t/",
        "https://hooks.example.com/\n",
        " https://hooks.example.com/",
        "https://hooks.example.com./",
        "https://hooks.example.com,evil.example/",
        "https://evil.example/",
        "https://evilhooks.example.com/",
        "https://hooks.example.com.evil.example/",
        "https://example.org/",
        "https://.example.org/",
        "https://-.example.org/",
        "https://evilexample.org/",
        "https://a%2eexample.org/",
        "https://hooks.example.com%00.evil.example/",
        "https://8.8.4.4/",
        "https://134744072/",
        "https://0x8.8.8.8/",
        "https://010.8.8.8/",
        "https://8.8.2056/",
        "https://2130706433/",
        "https://127.1/",
        "https://0177.0.0.1/",
        "https://0x7f000001/",
        "https://127.0.0.1/",
        "https://0/",
        "https://0.0.0.0/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:8.8.8.8]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fe80::1%25eth0]/",
        "https://[::1/",
        "https://hooks.example.com/" + "x" * LONGEST_URL,
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(CallbackRefusedError):
        PUBLIC.check(url)


def test_plain_http_is_for_receivers_inside() -> None:
    assert INSIDE.check("http://127.0.0.1:9/x").port == 9
    assert INSIDE.check("http://hooks.example.com/").hostname == "hooks.example.com"


def test_a_wildcard_stands_for_no_address() -> None:
    with pytest.raises(CallbackRefusedError):
        Receivers(["*.0.0.1"], private=True).check("http://127.0.0.1/")


def test_without_a_list_nobody_is_called() -> None:
    with pytest.raises(CallbackRefusedError, match="no callbacks are taken"):
        Receivers([], private=True).check("https://hooks.example.com/")


def test_a_refusal_quotes_no_secret_of_the_url() -> None:
    with pytest.raises(CallbackRefusedError) as refused:
        PUBLIC.check("https://evil.example/secret-path?token=secret")
    assert "secret" not in str(refused.value)


PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "::1",
    "fc00::1",
    "fd00:ec2::254",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
]
NOWHERE = [
    "0.0.0.0",
    "169.254.169.254",
    "224.0.0.1",
    "239.1.1.1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::1",
    "ff0e::1",
    "::ffff:0.0.0.0",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "2002:808:808::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "0.1.2.3",
    "240.0.0.1",
    "255.255.255.255",
]
ODD = ["64:ff9b:1::a00:1", "::127.0.0.1", "::ffff:0:127.0.0.1", "fec0::1", "100::1", "2001:db8::1", "5f00::1"]


@pytest.mark.parametrize("address", [*PRIVATE, *NOWHERE, *ODD])
def test_no_call_leads_inside(address: str) -> None:
    assert not PUBLIC.reachable(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_a_call_leads_to_public_addresses(address: str) -> None:
    assert PUBLIC.reachable(address)


@pytest.mark.parametrize("address", [*PRIVATE, "8.8.8.8", "2606:4700::1111"])
def test_a_call_leads_inside_where_that_is_said(address: str) -> None:
    assert INSIDE.reachable(address)


@pytest.mark.parametrize("address", NOWHERE)
def test_no_call_ever_leads_to_link_local_addresses_or_to_everybody(address: str) -> None:
    assert not INSIDE.reachable(address)


@pytest.mark.parametrize(
    "hosts",
    ["*", "*.", "https://x.example", "x.example:443", "*.*.example", "127.1", "010.0.0.1", "*.0.0.1", "a b", "-a"],
)
def test_a_host_that_is_none_is_refused_at_the_start(hosts: str) -> None:
    with pytest.raises(SettingsError, match="is no host"):
        load_settings(callback_hosts=hosts, callback_secret=SECRET)


def test_callbacks_want_a_secret() -> None:
    with pytest.raises(SettingsError, match="ESSAIM_CALLBACK_SECRET"):
        load_settings(callback_hosts="hooks.example.com")


@pytest.mark.parametrize("secret", ["short", f"{SECRET},short", "whsec_" + "?" * 40, "whsec_c2hvcnQ="])
def test_a_secret_that_can_be_guessed_is_refused(secret: str) -> None:
    with pytest.raises(SettingsError, match="ESSAIM_CALLBACK_SECRET"):
        load_settings(callback_hosts="hooks.example.com", callback_secret=secret)


def test_a_secret_is_taken_as_it_is_or_as_base64() -> None:
    settings = load_settings(callback_secret=f"{SECRET}, whsec_eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5")
    assert settings.callback_keys() == [b"x" * 24, b"y" * 24]
    assert SECRET not in repr(settings)
