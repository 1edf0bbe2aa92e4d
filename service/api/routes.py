"""Every route, what they ask for by name, and how the failures of the domain read on the wire."""

from __future__ import annotations

from typing import Final

from service.api import access as access_routes
from service.api import answering as answering_routes
from service.api import brakes as brake_routes
from service.api import cases as case_routes
from service.api import customer_identity, headers
from service.api import desk_sessions as desk_session_routes
from service.api import endpoints as endpoint_routes
from service.api import events as event_routes
from service.api import figures as figure_routes
from service.api import keys as key_routes
from service.api import notices as notice_routes
from service.api import platform as platform_routes
from service.api import policies as policy_routes
from service.api import previews as preview_routes
from service.api import referrals as referral_routes
from service.api import settings as settings_routes
from service.api.access import AccessRoutes
from service.api.answering import AnsweringRoutes
from service.api.brakes import BrakeRoutes
from service.api.case_history import CaseHistory
from service.api.cases import CaseRoutes
from service.api.console import Console
from service.api.customer_identity import CustomerIdentity
from service.api.desk import DeskRoutes
from service.api.desk_live import DeskLiveRoutes
from service.api.desk_queue import QueueRoutes
from service.api.desk_sessions import DeskSessionRoutes
from service.api.endpoints import EndpointRoutes
from service.api.events import EventRoutes
from service.api.figures import FigureRoutes
from service.api.help import HelpRoutes
from service.api.help_pages import HelpPages
from service.api.keys import KeyRoutes
from service.api.money import MoneyRoutes
from service.api.notices import NoticeRoutes
from service.api.oidc import OidcRoutes
from service.api.payout import PayoutRoutes
from service.api.platform import PlatformFeed
from service.api.policies import PolicyRoutes
from service.api.previews import PreviewRoutes
from service.api.rails import RailRoutes
from service.api.readiness import ReadinessRoutes
from service.api.referrals import ReferralRoutes
from service.api.search import SearchRoutes
from service.api.settings import SettingsRoutes
from service.api.webhooks import WebhookRoutes
from service.api.webhooks_pretix import PretixWebhook
from service.api.wellknown import WellKnown
from service.api.widget import WidgetRoutes

DOMAIN: Final = (
    "cases",
    "case_desk",
    "queue_rows",
    "claims",
    "guide",
    "previews",
    "suggestions",
    "orders",
    "shows",
    "identity",
    "platforms",
    "signing_keys",
    "access",
    "brakes",
    "key_desk",
    "settings_desk",
    "rails",
    "inbox",
    "syncing",
    "books",
    "repeats",
    "event_feed",
    "endpoints",
    "wants",
    "referrals",
    "figures",
    "satisfactions",
    "answering",
    "waits",
    "desk_sessions",
    "desk_cookie",
    "console_files",
    "desk_live",
    "oidc",
    "search",
    "policy_desk",
    "streams",
    "widget_help",
    "widget_likely",
    "notices",
    "notice_live",
    "widget_files",
)
ROUTES: Final = (
    CustomerIdentity,
    CaseRoutes,
    CaseHistory,
    PayoutRoutes,
    HelpRoutes,
    DeskRoutes,
    QueueRoutes,
    PreviewRoutes,
    AnsweringRoutes,
    ReferralRoutes,
    FigureRoutes,
    PlatformFeed,
    MoneyRoutes,
    AccessRoutes,
    BrakeRoutes,
    NoticeRoutes,
    KeyRoutes,
    SettingsRoutes,
    ReadinessRoutes,
    RailRoutes,
    EventRoutes,
    EndpointRoutes,
    PretixWebhook,
    WebhookRoutes,
    WellKnown,
    DeskSessionRoutes,
    OidcRoutes,
    DeskLiveRoutes,
    SearchRoutes,
    PolicyRoutes,
    Console,
    WidgetRoutes,
    HelpPages,
)
FAILURES: Final = {
    **access_routes.FAILURES,
    **headers.FAILURES,
    **case_routes.FAILURES,
    **customer_identity.FAILURES,
    **preview_routes.FAILURES,
    **answering_routes.FAILURES,
    **desk_session_routes.FAILURES,
    **policy_routes.FAILURES,
    **referral_routes.FAILURES,
    **figure_routes.FAILURES,
    **platform_routes.FAILURES,
    **brake_routes.FAILURES,
    **notice_routes.FAILURES,
    **key_routes.FAILURES,
    **settings_routes.FAILURES,
    **event_routes.FAILURES,
    **endpoint_routes.FAILURES,
}
