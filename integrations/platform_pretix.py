"""A pretix as a platform's own system: its orders read, its passes made and voided there, and told what we refunded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from integrations.orders_pretix_mapping import MappingError, mapping_of
from integrations.platform_pretix_api import PretixApi, client_for
from integrations.platform_pretix_passes import PretixPasses
from integrations.platform_pretix_source import PretixOrders
from integrations.platform_pretix_told import PretixTold

__all__ = ["MappingError", "PretixPlatform"]


class PretixPlatform:
    """One organizer's events. Raises MappingError for a mapping that cannot be used."""

    def __init__(
        self,
        url: str,
        *,
        token: str,
        organizer: str,
        events: Sequence[str],
        mapping: Mapping[str, Any],
        resend_link: bool = True,
        private: bool = False,
    ) -> None:
        answers = mapping_of(mapping)
        self._client = client_for(url, private=private)
        api = PretixApi(self._client, token=token, organizer=organizer)
        self.orders = PretixOrders(self._client, token=token, organizer=organizer, events=events, mapping=answers)
        self.passes = PretixPasses(api, refundable={name: answer == "refundable" for name, answer in answers.fees.items()})
        self.told = PretixTold(api, resend_link=resend_link)

    async def close(self) -> None:
        await self._client.aclose()
