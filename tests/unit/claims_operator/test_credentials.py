"""What Prometheus is asked with, and which addresses may be asked at all."""

import os
import ssl
from pathlib import Path

import pytest
from prometheus_server import answering, running

from claims_cluster.pki import Authority
from claims_operator.adapters import credentials as mounted
from claims_operator.adapters.prometheus import Prometheus
from claims_operator.core import addresses, credentials
from claims_operator.core.addresses import Address
from claims_operator.core.credentials import UnusableCredentials
from claims_operator.core.snapshot import Scope
from claims_operator.errors import InvalidSettings
from claims_operator.settings import Settings


def test_a_token_a_password_and_headers_become_headers() -> None:
    assert credentials.parse({"token": b"abc\n"}).headers == {"Authorization": "Bearer abc"}
    basic = credentials.parse({"username": b"claims", "password": "säcret".encode()})
    assert basic.headers == {"Authorization": "Basic Y2xhaW1zOnPDpGNyZXQ="}
    tenant = credentials.parse({"header.X-Scope-OrgID": b"a|b", "header.X-Team": b"claims risk"})
    assert tenant.headers == {"X-Scope-OrgID": "a|b", "X-Team": "claims risk"}
    assert credentials.parse({}) == credentials.NONE


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"Token": b"abc"}, "the key 'Token' is not known; the keys are token, username and password"),
        ({"token": b"abc", "username": b"u", "password": b"p"}, "keep one"),
        ({"username": b"u"}, "username needs password beside it"),
        ({"tls.key": b"k"}, "tls.key needs tls.crt beside it"),
        ({"token": b"\n"}, "token is empty"),
        ({"token": b"abc\r\nHost: elsewhere"}, "token must be one line of visible ASCII characters"),
        ({"token": b"\xff"}, "token is no UTF-8 text"),
        ({"username": b"a:b", "password": b"p"}, "username holds a colon"),
        ({"header.": b"x"}, "names no HTTP header"),
        ({"header.X_Y": b"x"}, "names no HTTP header"),
        ({"header.Host": b"x"}, "this header is set by the operator"),
        ({"header.authorization": b"x"}, "for Authorization write the key token"),
    ],
)
def test_keys_that_make_no_sense_are_refused_and_not_quoted(keys: dict[str, bytes], words: str) -> None:
    with pytest.raises(UnusableCredentials) as refusal:
        credentials.parse(keys)
    assert words in str(refusal.value)
    assert "elsewhere" not in str(refusal.value)


def test_credentials_are_told_apart_without_being_shown() -> None:
    one, same, other = (credentials.parse({"token": token}) for token in (b"one", b"one", b"other"))
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert credentials.NONE.fingerprint != one.fingerprint
    assert repr(one) == "Credentials()"


# Mounted ------------------------------------------------------------------------------------------------------------


def test_a_mounted_secret_is_read_again_when_it_was_rotated(tmp_path: Path) -> None:
    """Laid out as the kubelet does: files are links into ..data, which is moved in one step."""
    for version in ("old", "new"):
        (tmp_path / f"..{version}").mkdir()
        (tmp_path / f"..{version}/token").write_text(version)
    (tmp_path / "..data").symlink_to("..old")
    (tmp_path / "token").symlink_to("..data/token")
    read = mounted.from_directory(tmp_path)
    assert read().headers == {"Authorization": "Bearer old"}
    (tmp_path / "..next").symlink_to("..new")
    os.replace(tmp_path / "..next", tmp_path / "..data")
    assert read().headers == {"Authorization": "Bearer new"}


def test_a_mounted_secret_that_is_not_there_or_wrong_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnusableCredentials, match=r"its credentials cannot be read: .*no-such"):
        mounted.from_directory(tmp_path / "no-such")()
    (tmp_path / "user").write_text("me")
    with pytest.raises(UnusableCredentials, match="'user' is not known"):
        mounted.from_directory(tmp_path)()
    assert mounted.from_directory(None)() == credentials.NONE


# TLS ----------------------------------------------------------------------------------------------------------------


async def asked_over_tls(keys: dict[str, bytes], authority: Authority) -> str | None:
    """Return what a look at a server says that wants a client's certificate of the authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.certificate))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(*authority.issue("server", "prometheus", alternative_names=("IP:127.0.0.1",)))
    async with running(answering(), tls=context) as server:
        prometheus = Prometheus(server.address, credentials=credentials.parse(keys))
        try:
            return (await prometheus.collect(Scope(models=None, thresholds=frozenset({250})))).error
        finally:
            await prometheus.close()


async def test_mutual_tls_by_an_own_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ours")
    certificate, key = authority.issue("client", "operator")
    trust = {"ca.crt": authority.certificate.read_bytes()}
    own = {"tls.crt": certificate.read_bytes(), "tls.key": key.read_bytes()}
    assert await asked_over_tls(trust | own, authority) is None
    assert "cannot be reached" in str(await asked_over_tls(trust, authority)), "the server wants a certificate"
    assert "certificate verify failed" in str(await asked_over_tls(own, authority)), "its authority is not public"


def test_certificates_that_are_none_are_refused(tmp_path: Path) -> None:
    certificate, _ = Authority(tmp_path / "one").issue("client", "operator")
    _, foreign_key = Authority(tmp_path / "other").issue("client", "operator")
    for keys, words in (
        ({"ca.crt": b"certificate"}, "ca.crt holds no certificates in PEM"),
        ({"tls.crt": b"c", "tls.key": b"k"}, "a certificate and its private key in PEM"),
        ({"tls.crt": certificate.read_bytes(), "tls.key": foreign_key.read_bytes()}, "a certificate and its private"),
    ):
        with pytest.raises(UnusableCredentials, match=words):
            Prometheus("https://prometheus:9090", credentials=credentials.parse(keys))


# Addresses ----------------------------------------------------------------------------------------------------------

OWN = "http://prometheus.monitoring:9090"
ALLOWED = ("https://mimir.example.com/teams/risk", "http://prometheus.risk:80")


@pytest.mark.parametrize(
    "asked",
    [
        OWN,
        "http://Prometheus.Monitoring:9090/",
        "https://mimir.example.com/teams/risk",
        "https://mimir.example.com:443/teams/risk/prometheus/",
        "http://prometheus.risk",
    ],
)
def test_the_operators_own_address_and_those_it_was_told_may_be_asked(asked: str) -> None:
    assert addresses.refusal(asked, OWN, ALLOWED) is None


@pytest.mark.parametrize(
    "asked",
    [
        "http://169.254.169.254",
        "https://prometheus.monitoring:9090",
        "http://prometheus.monitoring:9091",
        "http://prometheus.monitoring:9090/admin",
        "http://prometheus.monitoring.evil.example.com:9090",
        "https://mimir.example.com/teams/riskier",
        "https://mimir.example.com/teams",
        "http://mimir.example.com/teams/risk",
        "https://mimir.example.com/teams/risk/../fraud",
        "https://mimir.example.com/teams/risk/%2e%2e/fraud",
        "https://mimir.example.com/teams/risk/.../x",
        "https://mimir.example.com\\@evil.example.com/teams/risk",
        "https://mimir.example.com@evil.example.com/teams/risk",
        "https://mimir.example.com/teams/risk?x=1",
        "https://mimir.example.com/teams/risk#x",
        "https://mimir.example.com//teams/risk",
        "http://prometheus.risk:99999",
        "file:///etc/passwd",
        "",
        OWN + "\n",
    ],
)
def test_no_other_address_may_be_asked(asked: str) -> None:
    assert addresses.refusal(asked, OWN, ALLOWED) is not None


def test_a_refusal_says_what_to_do() -> None:
    said = str(addresses.refusal("http://10.0.0.1", OWN, ()))
    assert said == (
        "the operator may not ask http://10.0.0.1: it is none of the addresses that it was told"
        " (Helm: prometheus.allowedAddresses)"
    )


def test_an_address_without_a_port_has_the_one_of_its_scheme() -> None:
    assert Address.parse("https://a.example.com").port == 443


def test_settings_name_addresses_labels_and_a_directory() -> None:
    settings = Settings.from_environment(
        {
            "CLAIMS_PROMETHEUS_ALLOWED_ADDRESSES": "http://a:1  https://b/c",
            "CLAIMS_PROMETHEUS_REPLICA_LABELS": "replica",
            "CLAIMS_PROMETHEUS_CREDENTIALS_DIRECTORY": "",
            "CLAIMS_PROMETHEUS_MATCH_LABELS": "cluster=eu-1 rack=a=b",
        }
    )
    assert settings.prometheus_allowed_addresses == ("http://a:1", "https://b/c")
    assert settings.prometheus_replica_labels == ("replica",)
    assert settings.prometheus_match_labels == (("cluster", "eu-1"), ("rack", "a=b"))
    assert settings.prometheus_credentials_directory is None


@pytest.mark.parametrize("value", ["cluster", "cluster=", "my-cluster=eu-1"])
def test_settings_refuse_labels_that_are_none(value: str) -> None:
    with pytest.raises(InvalidSettings, match="must be label names and values, for example cluster=eu-1"):
        Settings.from_environment({"CLAIMS_PROMETHEUS_MATCH_LABELS": value})


@pytest.mark.parametrize("value", ["http://u:p@prometheus:9090", "prometheus:9090", "http://a http://b/../c"])
@pytest.mark.parametrize("variable", ["CLAIMS_PROMETHEUS_URL", "CLAIMS_PROMETHEUS_ALLOWED_ADDRESSES"])
def test_settings_refuse_addresses_that_are_none(variable: str, value: str) -> None:
    with pytest.raises(InvalidSettings, match="write a base URL such as"):
        Settings.from_environment({variable: value})
