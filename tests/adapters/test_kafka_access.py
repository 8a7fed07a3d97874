import datetime
import ipaddress

import pytest
from confluent_kafka import Producer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from homeostat.adapters.kafka import topics
from homeostat.adapters.streams.opening import ensure_topics, open_stream
from homeostat.checks.servers import kafka_broker
from homeostat.checks.streams import pulled_until
from homeostat.config.servers import Servers
from homeostat.ports import Unavailable
from homeostat.ports.streams import Outgoing

PASSWORD = "a password for tests"


def certificate():
    """A certificate of 127.0.0.1 that signs itself, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    built = built.serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
    built = built.not_valid_after(now + datetime.timedelta(days=1))
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    built = built.add_extension(alternative, False)
    built = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), True).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return built.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def test_streams_go_over_tls_and_sasl(own_server, tmp_path, monkeypatch):
    public, private = certificate()
    (tmp_path / "ca.pem").write_text(public)
    module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    settings = {
        "listeners": "OUT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": "OUT://127.0.0.1:{port}", "inter.broker.listener.name": "OUT",
        "listener.security.protocol.map": "OUT:SASL_SSL,CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN", "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "listener.name.out.plain.sasl.jaas.config": f'{module} username="u" password="{PASSWORD}" user_u="{PASSWORD}";',
        "ssl.keystore.type": "PEM", "ssl.truststore.type": "PEM",
        "ssl.keystore.key": private.replace("\n", "\\n"),
        "ssl.keystore.certificate.chain": public.replace("\n", "\\n"),
        "ssl.truststore.certificates": public.replace("\n", "\\n"),
    }  # fmt: skip
    broker = own_server(kafka_broker, settings)
    urls = {name: f"{broker.url}/{name}" for name in ("events", "decisions")}
    reach = {"tls": True, "ca_file": str(tmp_path / "ca.pem"), "sasl_mechanism": "PLAIN", "username": "u"}
    servers = Servers(**urls, kafka={**reach, "password": PASSWORD})
    assert sorted(ensure_topics(servers, "app")) == ["decisions", "events"]
    producer = Producer({
        "bootstrap.servers": broker.address, "security.protocol": "sasl_ssl", "sasl.mechanism": "PLAIN",
        "ssl.ca.location": reach["ca_file"], "sasl.username": "u", "sasl.password": PASSWORD,
    })  # fmt: skip
    producer.produce("events", b"{}")
    assert producer.flush(180) == 0
    stream = open_stream(servers, "app", client_id="a")
    events, _ = pulled_until(stream, 1)
    stream.publish([events], [Outgoing(b"d")], [])
    stream.close()
    monkeypatch.setattr(topics, "ANSWER_S", 2.0)
    wrong = Servers(**urls, kafka={**reach, "password": "hunter2hunter2"})
    with pytest.raises(Unavailable, match="Authentication failed") as raised:
        ensure_topics(wrong, "app")
    stream = open_stream(wrong, "app", client_id="a")
    for _ in range(3000):
        stream.pull(1, 0.05)
        if stream.trouble:
            break
    assert "Authentication failed" in stream.trouble
    assert "hunter2" not in str(raised.value) + stream.trouble
    stream.close()
