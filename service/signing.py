"""The keys that sign access tokens: next (published) -> current (signs) -> old (checks) -> gone; withdrawn at once when one has leaked."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Final

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from service import tokens
from service.store.keys import Change
from service.store.signing import NewSigningKey, SigningKeyRow, SigningKeyStore

log: Final = structlog.get_logger()

# How often a process reads the keys: what another one made is used everywhere within five seconds.
KEYS_SECONDS: Final = 4.0
# What an edge may keep the key set for, as the set itself says.
JWKS_SECONDS: Final = 300
# How long a key is published before it signs: twice what an edge may keep, so that one that was late once still knows it.
LEAD_SECONDS: Final = 2.0 * JWKS_SECONDS
# Where nobody is in a hurry: a day, so that edges that keep the set for longer than they may have read it too.
LEAD_SECONDS_SCHEDULED: Final = 86400.0
# How long after a switch a process may still have signed with the key before: it reads the keys every KEYS_SECONDS, and was paused perhaps.
LATE_SECONDS: Final = 12 * KEYS_SECONDS

_ITSELF: Final = Change(actor="makegood", why="")


class Ring(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of one moment."""

    current: tokens.SigningKey
    public: tokens.PublicKeys


class SigningKeys:
    """The private halves rest sealed and are opened once a process."""

    def __init__(self, store: SigningKeyStore, sealer: tokens.Sealer) -> None:
        self._store = store
        self._sealer = sealer

    async def ensure(self) -> None:
        """Makes the first key of a new installation. Any number of processes may ask at once: one key comes of it."""
        if any(row.state == "current" for row in await self._store.all()):
            return
        key = self._new()
        await self._store.add_first(key.kid, key.sealed_private, key.public_jwk)

    async def ring(self) -> Ring:
        """Today's keys, read at once. Raises LookupError before `ensure`, tokens.Unsealable under another installation secret."""
        rows = await self._store.all()
        current = next((row for row in rows if row.state == "current"), None)
        if current is None:
            raise LookupError("there is no signing key yet")
        return Ring(current=self._sealer.open(current.kid, current.sealed_private), public={row.kid: _public(row) for row in rows})

    async def current(self) -> tokens.SigningKey:
        """The key to sign with. Raises as `ring` does."""
        return (await self.ring()).current

    async def public(self) -> tokens.PublicKeys:
        """What tokens are checked with: today's key, the next one, and old ones that still have tokens about."""
        return {row.kid: _public(row) for row in await self._store.all()}

    async def listed(self) -> Sequence[SigningKeyRow]:
        return await self._store.all()

    async def rotate(self, change: Change, *, lead_seconds: float = LEAD_SECONDS) -> bool:
        """Publishes a key that will sign after that long; `tend` then takes it up. False: one is published already."""
        return await self._store.add_next(self._new(), lead_seconds, change)

    async def withdraw(self, change: Change) -> None:
        """A key has leaked: a new one signs at once, and all others are gone, with every token that they signed.

        Our own check refuses those tokens within KEYS_SECONDS; an edge that checks by itself as soon as it reads the key set again, after
        JWKS_SECONDS at most. Whoever asks for a pass's token (the case's page, `POST /v1/access/tokens`, a letter) gets the same one signed
        anew: nothing is revoked, nobody loses what they bought; a viewer with a dead link gets a new one by the access policy.
        """
        await self._store.withdraw(self._new(), change)

    async def tend(self, *, days: int) -> None:
        """One look at the keys, by any process at any time: each goes as far as it may. `days` (0: never) after which a key is followed."""
        for step in await self._store.advance(LATE_SECONDS):
            state, _, kid = step.partition(" ")
            log.info("signing_key_moved", state=state, kid=kid)
        if days and await self._store.is_due(days):
            why = f"the current key has signed for {days} days"
            await self.rotate(msgspec.structs.replace(_ITSELF, why=why), lead_seconds=LEAD_SECONDS_SCHEDULED)

    def _new(self) -> NewSigningKey:
        key = tokens.generate()
        return NewSigningKey(kid=key.kid, sealed_private=self._sealer.seal(key), public_jwk=tokens.jwk(key.kid, key.public))


def _public(row: SigningKeyRow) -> Ed25519PublicKey:
    x = row.public_jwk["x"]
    return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(x + "=" * (-len(x) % 4)))
