"""The contract of every store of API keys, whatever it is built on.

A plug-in's author calls each function with a way to open the store on one and the same, empty place::

    @pytest.mark.parametrize("check", API_KEY_CHECKS, ids=lambda check: check.__name__)
    def test_my_keys(check, tmp_path):
        check(lambda: MyKeys(tmp_path))

Each function asserts; none needs pytest.
"""

from __future__ import annotations

from collections.abc import Callable

from homeostat.ports.keys import ApiKeys

OpensKeys = Callable[[], ApiKeys]
_LATER_NS = 4_000_000_000 * 10**9  # The year 2096.


def no_secret_is_good_before_a_key_is_made(open_keys: OpensKeys) -> None:
    """Nothing is listed, and nothing checks."""
    keys = open_keys()
    assert keys.refresh() == 0 and keys.all() == []
    assert keys.check("hs_0123456789ab_" + "0" * 48, 0) is None
    assert not keys.revoke("0123456789ab")
    keys.close()


def a_key_is_found_by_its_secret_alone(open_keys: OpensKeys) -> None:
    """The secret gives its key, at once here and after a refresh elsewhere; whatever differs from it gives none."""
    keys, other = open_keys(), open_keys()
    other.refresh()
    secret = keys.create("till 7", ["read", "decide"], _LATER_NS, 12.5)
    prefix, key_id, random = secret.split("_")
    assert prefix == "hs" and len(random) * 4 >= 160
    assert other.check(secret, 1) is None and other.refresh() == 1
    for store in (keys, other):
        key = store.check(secret, 1)
        assert key is not None and key.id == key_id and key.name == "till 7"
        assert key.scopes == ("decide", "read") and key.rate == 12.5 and key.created_ns > 0
        flipped = secret[:-1] + ("0" if secret[-1] != "0" else "1")
        for wrong in (
            flipped, secret[:-1], secret + "0", secret.upper(), "", "_", "__", key_id, random, f"hs_{key_id}_",
            f"hs_{'0' * len(key_id)}_{random}", f"xx_{key_id}_{random}", "hs_\x00_\x00", "hs_ü_ü", "\ud800",
            "x" * 10**6,
        ):  # fmt: skip
            assert store.check(wrong, 1) is None
        store.close()


def a_key_ends_when_it_expires(open_keys: OpensKeys) -> None:
    """Up to its end it is good, from then on no longer; a key without an end stays."""
    keys = open_keys()
    short, long = keys.create("short", ["read"], _LATER_NS), keys.create("long", ["read"])
    assert keys.check(short, _LATER_NS - 1) is not None
    assert keys.check(short, _LATER_NS) is None
    assert keys.check(long, _LATER_NS) is not None
    keys.close()


def a_revoked_key_is_good_for_nothing(open_keys: OpensKeys) -> None:
    """At once here, after a refresh elsewhere; it stays listed, and other keys are as they were."""
    keys, other = open_keys(), open_keys()
    first, second = keys.create("one", ["admin"]), keys.create("two", ["admin"])
    other.refresh()
    key = other.check(first, 1)
    assert key is not None and keys.revoke(key.id)
    assert keys.check(first, 1) is None
    assert other.refresh() == 2
    for store in (keys, other):
        assert store.check(first, 1) is None and store.check(second, 1) is not None
    revoked, kept = sorted(other.all(), key=lambda key: key.name)
    assert revoked.id == key.id and revoked.revoked_ns is not None and kept.revoked_ns is None
    assert keys.revoke(key.id) and not keys.revoke("none") and not keys.revoke("\x00")
    assert [(item.id, item.revoked_ns) for item in keys.all() if item.id == key.id] == [(key.id, revoked.revoked_ns)]
    keys.close()
    other.close()


def keys_are_listed_in_the_order_in_which_they_were_made(open_keys: OpensKeys) -> None:
    """By whomever; each with an id and a secret of its own."""
    stores = [open_keys(), open_keys()]
    secrets = [stores[k % 2].create(f"key {k}", ["read"]) for k in range(6)]
    assert len(set(secrets)) == 6
    for store in stores:
        listed = store.all()
        assert [key.name for key in listed] == [f"key {k}" for k in range(6)]
        assert [store.check(secret, 1) for secret in secrets] == listed
        store.close()


def what_can_not_be_is_refused(open_keys: OpensKeys) -> None:
    """A ValueError says what is wrong, and nothing is made."""
    keys = open_keys()
    attempts: list[Callable[[], str]] = [
        lambda: keys.create("", ["read"]), lambda: keys.create("a\nb", ["read"]), lambda: keys.create("x", []),
        lambda: keys.create("x" * 1000, ["read"]), lambda: keys.create("x", ["write"]),
        lambda: keys.create("x", ["read"], expires_ns=1), lambda: keys.create("x", ["read"], rate=0.0),
        lambda: keys.create("x", ["read"], rate=float("nan")),
    ]  # fmt: skip
    for attempt in attempts:
        try:
            attempt()
        except ValueError:
            continue
        raise AssertionError("what can't be was taken")
    assert keys.all() == []
    keys.close()


API_KEY_CHECKS: tuple[Callable[[OpensKeys], None], ...] = (
    no_secret_is_good_before_a_key_is_made,
    a_key_is_found_by_its_secret_alone,
    a_key_ends_when_it_expires,
    a_revoked_key_is_good_for_nothing,
    keys_are_listed_in_the_order_in_which_they_were_made,
    what_can_not_be_is_refused,
)
