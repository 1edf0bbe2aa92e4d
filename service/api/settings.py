"""Routes for a platform's own settings: `/v1/platform/settings`."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

import msgspec
from litestar import Controller, Response, get, post, put
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, HeaderParameter, JSONBody
from msgspec import Meta

from service.api import problems
from service.api.auth import opens_to
from service.api.contract import examples
from service.api.keys import Reason
from service.callers import Caller
from service.settings_desk import SettingsDesk, SettingsMoved, SettingsNow, UnknownVersion, VersionShown
from service.settings_reading import SettingsError
from service.store.keys import Change

_WRITE: Final = opens_to("platform", scope="settings:write")
# RFC 9110, section 8.8.3; ours are numbers.
_TAG: Final = re.compile(r'"(\d{1,18})"')


class NewSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings: what is left out has its default again, but a secret that is left out stays as it is, while where it is sent stays."""

    settings: dict[str, Any]
    reason: Reason


class Rollback(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    to: Annotated[int, Meta(ge=1, le=2**53)]
    reason: Reason


class HistoryShown(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first. `before`: what to ask for to see earlier ones; null at the end."""

    versions: tuple[VersionShown, ...]
    before: int | None


_NOW: Final = {
    "version": 7,
    "settings": {"name": "Moonlight", "languages": ["en", "de"], "zone": "Europe/Berlin", "modes": {"refund": "suggest"}},
    "secrets": ["proof.secret"],
}
_HISTORY: Final = {
    "versions": [
        {
            "version": 7,
            "at": "2026-11-22T20:12:00Z",
            "actor": "key:console",
            "why": "refunds look too high",
            "back_to": None,
            "changes": [{"field": "modes.refund", "was": "act", "became": "suggest"}],
        }
    ],
    "before": 7,
}


def _answer(status: str) -> ResponseSpec:
    return ResponseSpec(data_container=problems.ProblemBody, generate_examples=False, media_type=problems.MEDIA_TYPE, description=status)


class SettingsRoutes(Controller):
    """What a platform decides for itself. A change holds in every process within five seconds, and is kept with who and why."""

    tags = ("settings",)

    @get("/v1/platform/settings", opt={**_WRITE, **examples(answer=_NOW)})
    async def get_settings(self, caller: NamedDependency[Caller], settings_desk: NamedDependency[SettingsDesk]) -> Response[SettingsNow]:
        """Shows the settings as they are now, and in the header ETag which version that is. Secrets are named and never shown."""
        return _tagged(await settings_desk.now(caller.platform_id))

    @put(
        "/v1/platform/settings",
        opt={**_WRITE, **examples(request={"settings": _NOW["settings"], "reason": "refunds look too high"}, answer=_NOW)},
        responses={
            412: _answer("Somebody changed the settings since you read them"),
            428: _answer("The header If-Match says which version you have read, and is missing"),
        },
    )
    async def put_settings(
        self,
        data: JSONBody[NewSettings],
        caller: NamedDependency[Caller],
        settings_desk: NamedDependency[SettingsDesk],
        if_match: Annotated[str | None, HeaderParameter(name="If-Match")] = None,
    ) -> Response[SettingsNow]:
        """Replaces the settings, checked whole: each mistake names its field, and nothing is taken while there is one.

        Send the ETag that you read as If-Match, so that two who change at once do not overwrite each other.
        """
        expected = _expected(if_match)
        change = Change(actor=caller.name, why=data.reason)
        return _tagged(await settings_desk.put(caller.platform_id, data.settings, change, expected=expected, asked_by="platform"))

    @get("/v1/platform/settings/history", opt={**_WRITE, **examples(answer=_HISTORY)})
    async def get_settings_history(
        self,
        caller: NamedDependency[Caller],
        settings_desk: NamedDependency[SettingsDesk],
        before: FromQuery[Annotated[int, Meta(ge=1, le=2**53)] | None] = None,
        limit: FromQuery[Annotated[int, Meta(ge=1, le=100)]] = 20,
    ) -> HistoryShown:
        """Shows who changed what and why, the newest first."""
        # The bounds are published, and not looked at where a value may be missing.
        if before is not None and not 1 <= before <= 2**53:
            raise problems.invalid("before", "has to be a version's number")
        found = tuple(await settings_desk.history(caller.platform_id, before=before, most=limit))
        return HistoryShown(versions=found, before=found[-1].version if len(found) == limit and found[-1].version > 1 else None)

    @post(
        "/v1/platform/settings/rollback", status_code=200, opt={**_WRITE, **examples(request={"to": 6, "reason": "as before"}, answer=_NOW)}
    )
    async def roll_settings_back(
        self, data: JSONBody[Rollback], caller: NamedDependency[Caller], settings_desk: NamedDependency[SettingsDesk]
    ) -> Response[SettingsNow]:
        """Brings an earlier version back as a new one, checked as if it were new. Secrets stay as they are today.

        The same again changes nothing.
        """
        change = Change(actor=caller.name, why=data.reason)
        return _tagged(await settings_desk.rollback(caller.platform_id, data.to, change, asked_by="platform"))


def _tagged(now: SettingsNow) -> Response[SettingsNow]:
    return Response(now, status_code=200, headers={"ETag": f'"{now.version}"'})


def _expected(if_match: str | None) -> int:
    if if_match is None:
        raise problems.Problem(
            status=428,
            code="version_required",
            title="Say which version you have read",
            detail="Send the ETag of GET /v1/platform/settings as If-Match.",
            errors=[problems.FieldError(field="If-Match", message="is required")],
        )
    tag = _TAG.fullmatch(if_match.strip())
    if tag is None:
        raise problems.invalid("If-Match", 'has to be one ETag as it was read, such as "7"')
    return int(tag[1])


def _moved(error: SettingsMoved) -> problems.Problem:
    return problems.Problem(
        status=412,
        code="settings_moved",
        title="Somebody changed the settings since you read them",
        detail=f"They are version {error.version} now. Read them again.",
        headers={"ETag": f'"{error.version}"'},
    )


def _wrong(error: SettingsError) -> problems.Problem:
    return problems.Problem(
        status=400, code="invalid_settings", title="The settings have mistakes", errors=[_field(mistake) for mistake in error.mistakes]
    )


def _field(mistake: str) -> problems.FieldError:
    """`caps.per_rail_and_day: …` as a JSON pointer into the body."""
    place, colon, said = mistake.partition(": ")
    if not colon or " " in place:
        return problems.FieldError(field="/settings", message=mistake)
    pointer = re.sub(r"[.\[]", "/", place).replace("]", "")
    return problems.FieldError(field=f"/settings/{pointer}", message=said)


def _no_version(_error: UnknownVersion) -> problems.Problem:
    return problems.not_found("version")


FAILURES: Final[problems.Failures] = {SettingsMoved: _moved, SettingsError: _wrong, UnknownVersion: _no_version}
