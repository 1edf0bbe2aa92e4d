"""Every operation of the contract as a method. Written by clients/generate.py: change nothing here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

from makegood_client import types as t


class Operations(ABC):
    @abstractmethod
    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str | None] | None = None,
        body: Any = None,
        lines: str | None = None,
    ) -> Any:
        """Sends one request. Returns what came as JSON, text of NDJSON, or None. Raises ProblemError."""

    @abstractmethod
    def _stream(self, path: str, *, last_event_id: str | None) -> Iterator[t.ProgressEvent]:
        """Reads server-sent events until the service ends them. Raises ProblemError."""

    def jwks(self) -> t.KeySet:
        """The key set (RFC 7517)."""
        answer: t.KeySet = self._call("GET", "/.well-known/jwks.json")
        return answer

    def check_token(self, body: t.TokenToCheck) -> t.Checked:
        """Whether a token opens the stream now: signature, times, and that it was not revoked or suspended since."""
        answer: t.Checked = self._call("POST", "/v1/access/check", body=body)
        return answer

    def exchange_token(self, body: t.TokenToCheck) -> t.Playback:
        """The video service's own token, for whoever holds one of ours that opens the stream now."""
        answer: t.Playback = self._call("POST", "/v1/access/playback", body=body)
        return answer

    def list_revocations(self, *, since: int | None = None, wait_seconds: int | None = None, limit: int | None = None) -> t.RevocationsPage | None:
        """Which access tokens stopped opening the stream, or opened it again, since a cursor; none is ever skipped."""
        answer: t.RevocationsPage | None = self._call("GET", "/v1/access/revocations", query={"since": since, "wait_seconds": wait_seconds, "limit": limit})
        return answer

    def issue_token(self, body: t.TokenWanted) -> t.TokenShown:
        """The active token of a pass for a show, made if there is none: asking again gives the same one."""
        answer: t.TokenShown = self._call("POST", "/v1/access/tokens", body=body)
        return answer

    def list_agents(self) -> t.AgentsShown:
        """Shows the agents of the platform, people and programs."""
        answer: t.AgentsShown = self._call("GET", "/v1/agents")
        return answer

    def make_agent(self, body: t.NewAgent, *, idempotency_key: str) -> t.KeyIssued:
        """Makes an agent with what the role has, and a key. Not for agents: who makes a colleague could agree to their own refunds."""
        answer: t.KeyIssued = self._call("POST", "/v1/agents", headers={"Idempotency-Key": idempotency_key}, body=body)
        return answer

    def change_agent(self, agent_id: str, body: t.AgentChange) -> t.AgentShown:
        """Changes what is named, from the next request on. A lead changes skills, languages and capacity, and of leads nothing."""
        answer: t.AgentShown = self._call("PUT", f"/v1/agents/{_part(agent_id)}", body=body)
        return answer

    def disable_agent(self, agent_id: str, body: t.Because) -> t.AgentShown:
        """Ends all keys of an agent at once. What they hold goes back to the queue when their claim runs out."""
        answer: t.AgentShown = self._call("POST", f"/v1/agents/{_part(agent_id)}/disable", body=body)
        return answer

    def get_attachment(self, attachment_id: str) -> str:
        """A file as it was attached. Customers and the platform have what came with a reply that they are shown; browsers save it."""
        answer: str = self._call("GET", f"/v1/attachments/{_part(attachment_id)}")
        return answer

    def show_board(self) -> t.Board:
        """The desk as it is now, and its last hour by the minute."""
        answer: t.Board = self._call("GET", "/v1/board")
        return answer

    def list_brakes(self) -> t.BrakesShown:
        """Shows what is paused, the oldest first."""
        answer: t.BrakesShown = self._call("GET", "/v1/brakes")
        return answer

    def pause(self, kind: Literal["all", "action", "rail", "show"], ref: str, body: t.Pause) -> t.BrakesShown:
        """Pauses an action, a rail, a show (by its reference) or everything (`all/-`). The same again changes the reason."""
        answer: t.BrakesShown = self._call("PUT", f"/v1/brakes/{_part(kind)}/{_part(ref)}", body=body)
        return answer

    def resume(self, kind: Literal["all", "action", "rail", "show"], ref: str, *, reason: str | None = None) -> None:
        """Resumes: what was kept back goes at once, unless another brake holds it. What is not paused stays so."""
        self._call("DELETE", f"/v1/brakes/{_part(kind)}/{_part(ref)}", query={"reason": reason})

    def open_case(self, body: t.NewCase, *, idempotency_key: str, prefer: str | None = None) -> t.CaseShown:
        """Says what is wrong. The answer is the case as it stands when it is settled, or when the wait is over (202: it goes on)."""
        answer: t.CaseShown = self._call("POST", "/v1/cases", headers={"Idempotency-Key": idempotency_key, "Prefer": prefer}, body=body)
        return answer

    def show_case(self, case_id: str) -> t.CaseShown:
        """The case as this caller may see it."""
        answer: t.CaseShown = self._call("GET", f"/v1/cases/{_part(case_id)}")
        return answer

    def act(self, case_id: str, body: t.Confirmation, *, idempotency_key: str) -> t.CaseShown:
        """Does what a preview showed, for the customer of a case that you have taken, under the same guards as the policy."""
        answer: t.CaseShown = self._call("POST", f"/v1/cases/{_part(case_id)}/actions", headers={"Idempotency-Key": idempotency_key}, body=body)
        return answer

    def answer_question(self, case_id: str, body: t.Answer, *, idempotency_key: str, prefer: str | None = None) -> t.CaseShown:
        """Answers the one question that the case asks; it is then decided again."""
        answer: t.CaseShown = self._call("POST", f"/v1/cases/{_part(case_id)}/answers", headers={"Idempotency-Key": idempotency_key, "Prefer": prefer}, body=body)
        return answer

    def attach(self, case_id: str, lines: str, *, name: str | None = None) -> t.AttachmentShown:
        """Keeps a file for a reply or a note: PNG, JPEG, WebP, PDF or plain text, at most 5 MiB, by its content and not by its name."""
        answer: t.AttachmentShown = self._call("POST", f"/v1/cases/{_part(case_id)}/attachments", query={"name": name}, lines=lines)
        return answer

    def show_bundle(self, case_id: str) -> t.BundleShown:
        """The full context of a case. That you looked is recorded."""
        answer: t.BundleShown = self._call("GET", f"/v1/cases/{_part(case_id)}/bundle")
        return answer

    def keep_draft(self, case_id: str, body: t.Draft) -> None:
        """Keeps what you are typing, so that it outlives your browser. It goes when it is sent, or when you send it empty."""
        self._call("PUT", f"/v1/cases/{_part(case_id)}/draft", body=body)

    def list_drafts(self, case_id: str) -> t.DraftsShown:
        """What is being typed on this case: your own, and while you have the case what others left."""
        answer: t.DraftsShown = self._call("GET", f"/v1/cases/{_part(case_id)}/drafts")
        return answer

    def give_back(self, case_id: str, body: t.GivenBack) -> t.CaseShown:
        """Gives on a case that you have: back to its place in the queue, to another skill, or to somebody who is there."""
        answer: t.CaseShown = self._call("POST", f"/v1/cases/{_part(case_id)}/give-back", body=body)
        return answer

    def show_guide(self, case_id: str, *, language: str | None = None) -> t.GuideShown:
        """What leads through a case: steps in `language`, words in the customer's, the clocks, and who gets it when time runs out."""
        answer: t.GuideShown = self._call("GET", f"/v1/cases/{_part(case_id)}/guide", query={"language": language})
        return answer

    def identify_case(self, case_id: str, body: t.Identify, *, prefer: str | None = None) -> t.CaseShown:
        """Goes on with a case opened before it was known who asks. The session or JWT must have proved the order's customer."""
        answer: t.CaseShown = self._call("POST", f"/v1/cases/{_part(case_id)}/identify", headers={"Prefer": prefer}, body=body)
        return answer

    def keep_case(self, case_id: str, body: t.Kept) -> t.KeptShown:
        """Keeps a case that you have for so long from now. When that ends, it is back in its place in the queue."""
        answer: t.KeptShown = self._call("POST", f"/v1/cases/{_part(case_id)}/keep", body=body)
        return answer

    def list_macros(self, case_id: str) -> t.MacrosShown:
        """Texts for this case, filled in with what it knows: those for its problem first, in its language where they have it."""
        answer: t.MacrosShown = self._call("GET", f"/v1/cases/{_part(case_id)}/macros")
        return answer

    def say_more(self, case_id: str, body: t.Said, *, idempotency_key: str) -> t.CaseShown:
        """Says more on a case. One that had ended is opened again, and people look at it."""
        answer: t.CaseShown = self._call("POST", f"/v1/cases/{_part(case_id)}/messages", headers={"Idempotency-Key": idempotency_key}, body=body)
        return answer

    def add_note(self, case_id: str, body: t.NewNote, *, idempotency_key: str) -> t.CaseShown:
        """For the desk alone: a note, and what is attached to it, never leaves."""
        answer: t.CaseShown = self._call("POST", f"/v1/cases/{_part(case_id)}/notes", headers={"Idempotency-Key": idempotency_key}, body=body)
        return answer

    def park_case(self, case_id: str, body: t.ParkedFor) -> t.CaseShown:
        """Puts a case that you have aside, until the customer answers or for a while. It comes back by itself, to you if you are there."""
        answer: t.CaseShown = self._call("POST", f"/v1/cases/{_part(case_id)}/park", body=body)
        return answer

    def choose_destination(self, case_id: str, body: t.Payout, *, idempotency_key: str, prefer: str | None = None) -> t.CaseShown:
        """Says where a refund should go that cannot go back where it came from. A customer needs a strong proof for it (a second factor, or codes by mail and by text); what an agent passes on waits for a second person."""
        answer: t.CaseShown = self._call("POST", f"/v1/cases/{_part(case_id)}/payout", headers={"Idempotency-Key": idempotency_key, "Prefer": prefer}, body=body)
        return answer

    def ask_for_a_person(self, case_id: str, body: t.AskPerson, *, idempotency_key: str) -> t.CaseShown:
        """Hands the case to people, from any state, after a denial too."""
        answer: t.CaseShown = self._call("POST", f"/v1/cases/{_part(case_id)}/person", headers={"Idempotency-Key": idempotency_key}, body=body)
        return answer

    def preview_answer(self, case_id: str, body: t.AnswerLook) -> t.Likely:
        """What the rules would do now, if the case's question were answered so. Nothing is stored; what is shown here is `offered` with the answer."""
        answer: t.Likely = self._call("POST", f"/v1/cases/{_part(case_id)}/preview", body=body)
        return answer

    def preview(self, case_id: str, body: t.NewAction) -> t.PreviewShown:
        """Shows what an action would do, and does nothing. What is shown is worked out by what carries it out."""
        answer: t.PreviewShown = self._call("POST", f"/v1/cases/{_part(case_id)}/previews", body=body)
        return answer

    def follow_case(self, case_id: str, *, last_event_id: str | None = None) -> Iterator[t.ProgressEvent]:
        """What happens from now on, as server-sent events: `entry` and `case`. Ends by itself after 25 s or when the case has ended; go on with `Last-Event-ID` (the entry's seq)."""
        answer: Iterator[t.ProgressEvent] = self._stream(f"/v1/cases/{_part(case_id)}/progress", last_event_id=last_event_id)
        return answer

    def refer_case(self, case_id: str, body: t.NewReferral, *, idempotency_key: str) -> t.ReferralShown:
        """Hands a case that you have taken to moderation or fraud, with evidence. It waits for their answer, and its clocks stand still."""
        answer: t.ReferralShown = self._call("POST", f"/v1/cases/{_part(case_id)}/referrals", headers={"Idempotency-Key": idempotency_key}, body=body)
        return answer

    def reply(self, case_id: str, body: t.NewReply, *, idempotency_key: str) -> t.CaseShown:
        """Reaches the customer by the channel they used last: in the case at once, by mail, or by the platform (event `case.replied`)."""
        answer: t.CaseShown = self._call("POST", f"/v1/cases/{_part(case_id)}/replies", headers={"Idempotency-Key": idempotency_key}, body=body)
        return answer

    def end_case(self, case_id: str, body: t.Ended) -> t.CaseShown:
        """Ends a case that you have taken. What is still held or under way, or asked of another team, has to end first."""
        answer: t.CaseShown = self._call("POST", f"/v1/cases/{_part(case_id)}/resolve", body=body)
        return answer

    def score_case(self, case_id: str, body: t.NewScore) -> t.ScoreShown:
        """One tap, once for each time that you are asked: after the case has ended, and after the show."""
        answer: t.ScoreShown = self._call("POST", f"/v1/cases/{_part(case_id)}/satisfaction", body=body)
        return answer

    def suggest(self, case_id: str) -> t.SuggestionsShown:
        """What might be done next: what is held, what the rule suggests, what the order's facts say. Each is previewed first."""
        answer: t.SuggestionsShown = self._call("GET", f"/v1/cases/{_part(case_id)}/suggestions")
        return answer

    def show_timeline(self, case_id: str, *, after: int | None = None, limit: int | None = None) -> t.TimelinePage:
        """What happened to the case and its order, from every source, in the order of writing."""
        answer: t.TimelinePage = self._call("GET", f"/v1/cases/{_part(case_id)}/timeline", query={"after": after, "limit": limit})
        return answer

    def unpark_case(self, case_id: str) -> t.CaseShown:
        """Takes a case that was put aside, by you or somebody else, before its time, for ten minutes. A program takes only its own."""
        answer: t.CaseShown = self._call("POST", f"/v1/cases/{_part(case_id)}/unpark")
        return answer

    def set_availability(self, body: t.Availability) -> t.Availability:
        """Says whether you get cases unasked: ones given to you, and ones that come back. What you have stays yours."""
        answer: t.Availability = self._call("PUT", "/v1/desk/availability", body=body)
        return answer

    def follow_desk(self, *, last_event_id: str | None = None) -> Iterator[t.LiveEvent]:
        """The queue as it is and as it changes, parked cases too, at most 2,000. Ends by itself after 25 s; go on with `Last-Event-ID`."""
        answer: Iterator[t.LiveEvent] = self._stream("/v1/desk/live", last_event_id=last_event_id)
        return answer

    def show_desk_session(self) -> t.DeskSessionShown:
        """Shows who is signed in, what they may do, and until when. Asking does not put that off."""
        answer: t.DeskSessionShown = self._call("GET", "/v1/desk/session")
        return answer

    def sign_out(self) -> None:
        """Ends the session at once, in every window. A token has none: it is revoked instead."""
        self._call("DELETE", "/v1/desk/session")

    def sign_in(self, body: t.NewDeskSession) -> t.DeskSessionShown:
        """Signs in, with a cookie; the session that the browser had ends. For the console's own page, with the header `Makegood-Desk: 1`."""
        answer: t.DeskSessionShown = self._call("POST", "/v1/desk/sessions", body=body)
        return answer

    def show_shift(self) -> t.ShiftShown:
        """Who works at the desk, how many cases each has, and when they were last seen."""
        answer: t.ShiftShown = self._call("GET", "/v1/desk/shift")
        return answer

    def show_sign_in(self, *, platform: str | None = None) -> t.SignInWays:
        """Says how people of a platform sign in. Without a name: those of the installation's only platform, or with a link or token."""
        answer: t.SignInWays = self._call("GET", "/v1/desk/sign-in", query={"platform": platform})
        return answer

    def list_endpoints(self) -> t.EndpointsShown:
        """Shows where you are told, the oldest first. Never a secret."""
        answer: t.EndpointsShown = self._call("GET", "/v1/endpoints")
        return answer

    def make_endpoint(self, body: t.NewEndpoint, *, idempotency_key: str) -> t.Made:
        """Makes an endpoint, which is told what happens from now on. `secret` is shown this once; null where the request is repeated."""
        answer: t.Made = self._call("POST", "/v1/endpoints", headers={"Idempotency-Key": idempotency_key}, body=body)
        return answer

    def get_endpoint(self, endpoint_id: str) -> t.Endpoint:
        """Shows an endpoint."""
        answer: t.Endpoint = self._call("GET", f"/v1/endpoints/{_part(endpoint_id)}")
        return answer

    def change_endpoint(self, endpoint_id: str, body: t.EndpointChange) -> t.Endpoint:
        """Changes an endpoint, or pauses it."""
        answer: t.Endpoint = self._call("PATCH", f"/v1/endpoints/{_part(endpoint_id)}", body=body)
        return answer

    def remove_endpoint(self, endpoint_id: str, *, reason: str | None = None) -> None:
        """Removes an endpoint, with what waits for it."""
        self._call("DELETE", f"/v1/endpoints/{_part(endpoint_id)}", query={"reason": reason})

    def list_deliveries(self, endpoint_id: str, *, after: int | None = None, only: Literal["parked", "dead", None] = None) -> t.Deliveries:
        """Shows what an endpoint has not taken, after a position and at most 200, and what went wrong in the last seven days."""
        answer: t.Deliveries = self._call("GET", f"/v1/endpoints/{_part(endpoint_id)}/deliveries", query={"after": after, "only": only})
        return answer

    def enable_endpoint(self, endpoint_id: str, body: t.Because) -> t.Endpoint:
        """Tries an endpoint again that was given up, or that fails: from where it was, with what waits, at once."""
        answer: t.Endpoint = self._call("POST", f"/v1/endpoints/{_part(endpoint_id)}/enable", body=body)
        return answer

    def replay_endpoint(self, endpoint_id: str, body: t.Replay, *, idempotency_key: str) -> t.Replayed:
        """Sends again what you missed or lost, under the ids that it had."""
        answer: t.Replayed = self._call("POST", f"/v1/endpoints/{_part(endpoint_id)}/replay", headers={"Idempotency-Key": idempotency_key}, body=body)
        return answer

    def rotate_endpoint(self, endpoint_id: str, body: t.SecretRotation, *, idempotency_key: str) -> t.Made:
        """Makes a new secret. Until the overlap ends both sign, so a receiver may change over whenever it suits."""
        answer: t.Made = self._call("POST", f"/v1/endpoints/{_part(endpoint_id)}/rotate", headers={"Idempotency-Key": idempotency_key}, body=body)
        return answer

    def try_endpoint(self, endpoint_id: str) -> t.TestResult:
        """Sends a `ping` now and says what came back. It changes nothing, and has no place in the feed."""
        answer: t.TestResult = self._call("POST", f"/v1/endpoints/{_part(endpoint_id)}/test")
        return answer

    def list_events(self, *, after: int | None = None, wait_seconds: int | None = None, limit: int | None = None, types: Sequence[str] | None = None) -> t.EventsPage:
        """Shows what happened after a position, in order. No event is ever skipped; those of one order keep their order."""
        answer: t.EventsPage = self._call("GET", "/v1/events", query={"after": after, "wait_seconds": wait_seconds, "limit": limit, "types": types})
        return answer

    def show_figures(self, *, show: str | None = None, from_: str | None = None, to: str | None = None) -> t.FiguresShown:
        """Of cases opened from `from` to before `to`: the last day unless you say otherwise; of one show all of its time, while it runs and after. What each figure means stands in `definitions`."""
        answer: t.FiguresShown = self._call("GET", "/v1/figures", query={"show": show, "from": from_, "to": to})
        return answer

    def show_help(self, *, show: str | None = None, makegood_platform: str) -> t.HelpShown:
        """The platform's name, look, words and contacts, whether people are at the desk, and how the show stands."""
        answer: t.HelpShown = self._call("GET", "/v1/help", headers={"Makegood-Platform": makegood_platform}, query={"show": show})
        return answer

    def show_following(self, *, show: str) -> t.FollowingShown:
        """Whether the customer gets those mails for what is said on the show now, or could."""
        answer: t.FollowingShown = self._call("GET", "/v1/help/follow", query={"show": show})
        return answer

    def follow_by_mail(self, body: t.Follow) -> None:
        """A mail to the customer when what is said on the show changes, eight at most and five minutes apart; and one when it is over."""
        self._call("POST", "/v1/help/follow", body=body)

    def unfollow_by_mail(self, *, show: str) -> None:
        """No more of those mails for this show."""
        self._call("DELETE", "/v1/help/follow", query={"show": show})

    def follow_notice(self, *, show: str, makegood_platform: str, last_event_id: str | None = None) -> Iterator[t.NoticeEvent]:
        """What is said on the show now, at once, then every change. Ends by itself within 25 s; come back then."""
        answer: Iterator[t.NoticeEvent] = self._stream("/v1/help/live", last_event_id=last_event_id)
        return answer

    def list_own_orders(self, *, locale: str | None = None, show: str | None = None) -> t.HelpOrders:
        """The customer's own orders with what is likely wrong, and their cases. Who has proven nothing sees the cases of their session."""
        answer: t.HelpOrders = self._call("GET", "/v1/help/orders", query={"locale": locale, "show": show})
        return answer

    def preview_case(self, body: t.Look) -> t.Likely:
        """What the rules would do now, if this were said. Nothing is stored; what is shown here is `offered` when the case is opened."""
        answer: t.Likely = self._call("POST", "/v1/help/preview", body=body)
        return answer

    def list_keys(self) -> t.KeysShown:
        """Shows the platform's keys and its agents'; no token, since none is kept."""
        answer: t.KeysShown = self._call("GET", "/v1/keys")
        return answer

    def make_key(self, body: t.NewKey, *, idempotency_key: str) -> t.KeyIssued:
        """Makes a key of the platform, with no scope that your own lacks; `keys:write` and `agents:write` are never passed on."""
        answer: t.KeyIssued = self._call("POST", "/v1/keys", headers={"Idempotency-Key": idempotency_key}, body=body)
        return answer

    def revoke_key(self, key_id: str, body: t.Because) -> t.KeyShown:
        """Takes a key back, with all its tokens, from this answer on. Takes `keys:write`, for an agent's key `agents:write`."""
        answer: t.KeyShown = self._call("POST", f"/v1/keys/{_part(key_id)}/revoke", body=body)
        return answer

    def rotate_key(self, key_id: str, body: t.Rotation, *, idempotency_key: str) -> t.KeyIssued:
        """Gives a key a new token; both work for the overlap, then the one before ends by itself. Of three the oldest ends at once."""
        answer: t.KeyIssued = self._call("POST", f"/v1/keys/{_part(key_id)}/rotate", headers={"Idempotency-Key": idempotency_key}, body=body)
        return answer

    def list_notices(self) -> t.NoticesShown:
        """What is said on shows now, then what is over; the newest first, at most 100."""
        answer: t.NoticesShown = self._call("GET", "/v1/notices")
        return answer

    def approve_operation(self, operation_id: str, body: t.Agreement, *, idempotency_key: str) -> t.ApprovedShown:
        """Your yes to something that is held, as you saw it. With enough people it is carried out at once; nobody counts twice."""
        answer: t.ApprovedShown = self._call("POST", f"/v1/operations/{_part(operation_id)}/approve", headers={"Idempotency-Key": idempotency_key}, body=body)
        return answer

    def judge_operation(self, operation_id: str, body: t.Finding) -> None:
        """Ends an operation of which nobody could be sure, by what a lead found at the processor. What did not move is free again."""
        self._call("POST", f"/v1/operations/{_part(operation_id)}/judge", body=body)

    def preview_operation(self, operation_id: str) -> t.OperationPreviewShown:
        """What is held, for whoever is to agree: what the first person saw, what is so now, and which facts have moved since."""
        answer: t.OperationPreviewShown = self._call("GET", f"/v1/operations/{_part(operation_id)}/preview")
        return answer

    def refuse_operation(self, operation_id: str, body: t.Judgement) -> None:
        """Your no to something that is held: it ends, and what it had reserved is free again."""
        self._call("POST", f"/v1/operations/{_part(operation_id)}/refuse", body=body)

    def settle_operation(self, operation_id: str, body: t.Settlement, *, idempotency_key: str) -> None:
        """Records a refund that people sent outside every rail (a bank transfer, cash), with its reference."""
        self._call("POST", f"/v1/operations/{_part(operation_id)}/settle", headers={"Idempotency-Key": idempotency_key}, body=body)

    def put_orders(self, lines: str) -> str:
        """Takes many orders in: one `{"ref": …, "order": …}` a line, each answered by one line with its number, and a result or a problem."""
        answer: str = self._call("POST", "/v1/orders/bulk", lines=lines)
        return answer

    def get_order(self, ref: str) -> t.OrderState:
        """Shows an order as we have it, with what was refunded and by whom. Without names and addresses."""
        answer: t.OrderState = self._call("GET", f"/v1/orders/{_part(ref)}")
        return answer

    def put_order(self, ref: str, body: t.OrderFeed) -> t.OrderPut:
        """Takes an order in, whole: what it no longer names is cancelled. What we refund and promise is never touched."""
        answer: t.OrderPut = self._call("PUT", f"/v1/orders/{_part(ref)}", body=body)
        return answer

    def show_money(self, ref: str) -> t.OrderMoney:
        """Shows where the money of an order is: what was bought, what goes back for which cause, every movement and every attempt."""
        answer: t.OrderMoney = self._call("GET", f"/v1/orders/{_part(ref)}/money")
        return answer

    def show_readiness(self) -> t.Readiness:
        """What the platform has fed so far, and which rules can never decide, decide blind or hand over for want of facts."""
        answer: t.Readiness = self._call("GET", "/v1/platform/readiness")
        return answer

    def get_settings(self) -> t.SettingsNow:
        """Shows the settings as they are now, and in the header ETag which version that is. Secrets are named and never shown."""
        answer: t.SettingsNow = self._call("GET", "/v1/platform/settings")
        return answer

    def put_settings(self, body: t.NewSettings, *, if_match: str | None = None) -> t.SettingsNow:
        """Replaces the settings, checked whole: each mistake names its field, and nothing is taken while there is one."""
        answer: t.SettingsNow = self._call("PUT", "/v1/platform/settings", headers={"If-Match": if_match}, body=body)
        return answer

    def get_settings_history(self, *, before: int | None = None, limit: int | None = None) -> t.HistoryShown:
        """Shows who changed what and why, the newest first."""
        answer: t.HistoryShown = self._call("GET", "/v1/platform/settings/history", query={"before": before, "limit": limit})
        return answer

    def roll_settings_back(self, body: t.Rollback) -> t.SettingsNow:
        """Brings an earlier version back as a new one, checked as if it were new. Secrets stay as they are today."""
        answer: t.SettingsNow = self._call("POST", "/v1/platform/settings/rollback", body=body)
        return answer

    def show_policies(self) -> t.PoliciesShown:
        """Shows the packs that decide for the platform, rule by rule with their examples and what each decided today; who is first at the desk; and what leads its people."""
        answer: t.PoliciesShown = self._call("GET", "/v1/policies")
        return answer

    def try_facts(self, pack: str, body: t.PolicyTry) -> t.PolicyTried:
        """Says what a pack would decide of these facts, and what each rule says of them. Nothing is decided, stored or sent."""
        answer: t.PolicyTried = self._call("POST", f"/v1/policies/{_part(pack)}/try", body=body)
        return answer

    def show_queue(self, *, state: Literal["waiting", "taken", "parked", "all", None] = None, skill: str | None = None, show: str | None = None, problem: str | None = None, mine: bool | None = None, sla: Literal["at_risk", "breached", None] = None, language: str | None = None, older_seconds: int | None = None, younger_seconds: int | None = None, limit: int | None = None, offset: int | None = None) -> t.QueuePage:
        """Cases for people: first those that wait, the one to take at the top, then those that somebody has."""
        answer: t.QueuePage = self._call("GET", "/v1/queue", query={"state": state, "skill": skill, "show": show, "problem": problem, "mine": mine, "sla": sla, "language": language, "older_seconds": older_seconds, "younger_seconds": younger_seconds, "limit": limit, "offset": offset})
        return answer

    def take_case(self, body: t.Take) -> t.CaseShown:
        """Takes a case for a while, at most as many as you have hands for. An agent who vanishes gives it back, to the place it had."""
        answer: t.CaseShown = self._call("POST", "/v1/queue/take", body=body)
        return answer

    def list_rails(self) -> t.RailsShown:
        """Shows each rail: its state, its pace, what of the platform waits there, and whether to take new payments on it."""
        answer: t.RailsShown = self._call("GET", "/v1/rails")
        return answer

    def list_referrals(self, *, case: str | None = None, state: Literal["open", "cleared", "confirmed", "need_more", "withdrawn", None] = None, team: Literal["moderation", "fraud", None] = None, limit: int | None = None, offset: int | None = None) -> t.ReferralPage:
        """What other teams were asked, the newest first."""
        answer: t.ReferralPage = self._call("GET", "/v1/referrals", query={"case": case, "state": state, "team": team, "limit": limit, "offset": offset})
        return answer

    def show_referral(self, referral_id: str) -> t.ReferralShown:
        """What was asked, with its evidence, and what was answered."""
        answer: t.ReferralShown = self._call("GET", f"/v1/referrals/{_part(referral_id)}")
        return answer

    def answer_referral(self, referral_id: str, body: t.NewJudgement) -> t.ReferralShown:
        """The team's answer, once; after `need_more`, while money or tickets wait, once more."""
        answer: t.ReferralShown = self._call("POST", f"/v1/referrals/{_part(referral_id)}/answer", body=body)
        return answer

    def withdraw_referral(self, referral_id: str, body: t.Withdrawal) -> t.ReferralShown:
        """Takes a question back that was not judged; what waited for it alone goes on. For who asked, a lead, or the skill `trust`."""
        answer: t.ReferralShown = self._call("POST", f"/v1/referrals/{_part(referral_id)}/withdraw", body=body)
        return answer

    def score_by_token(self, body: t.ScoreByToken) -> t.ScoreShown:
        """The tap of the letter that goes out a day after the show. It shows nothing of the case."""
        answer: t.ScoreShown = self._call("POST", "/v1/satisfaction", body=body)
        return answer

    def search(self, *, q: str) -> t.SearchFound:
        """Finds by an exact name: an order's reference, a case's or an operation's id, a processor's reference of a payment or refund, or the e-mail address of a buyer or holder. That you looked is recorded with what you found; an address, or what finds nothing, is not."""
        answer: t.SearchFound = self._call("GET", "/v1/search", query={"q": q})
        return answer

    def show_session(self) -> t.SessionShown:
        """Who we take you for now, and until when. Also for a platform's JWT."""
        answer: t.SessionShown = self._call("GET", "/v1/session")
        return answer

    def close_session(self) -> None:
        """Ends the session at once and forgets the address and the phone it had proven."""
        self._call("DELETE", "/v1/session")

    def open_session(self, *, makegood_platform: str) -> t.SessionOpened:
        """Opens an anonymous session, in which a customer can ask for help, for a person, or for a code."""
        answer: t.SessionOpened = self._call("POST", "/v1/sessions", headers={"Makegood-Platform": makegood_platform})
        return answer

    def request_code(self, body: t.CodeRequest) -> t.CodeRequested:
        """Asks for a code by mail or by text. The answer is the same whether or not there is such an order, or a phone. A new code replaces the older one that went the same way."""
        answer: t.CodeRequested = self._call("POST", "/v1/sessions/codes", body=body)
        return answer

    def verify_code(self, body: t.CodeProof) -> t.SessionShown:
        """Raises the session to `verified` for half an hour; a code by mail and one by text to the same buyer together to `strong`, for ten minutes and that buyer's orders. Five tries a code; each code works once."""
        answer: t.SessionShown = self._call("POST", "/v1/sessions/verify", body=body)
        return answer

    def show_my_shift(self) -> t.Shift:
        """Your own day."""
        answer: t.Shift = self._call("GET", "/v1/shift")
        return answer

    def get_show(self, ref: str) -> t.ShowState:
        """Shows a show as we have it, with its incidents."""
        answer: t.ShowState = self._call("GET", f"/v1/shows/{_part(ref)}")
        return answer

    def put_show(self, ref: str, body: t.ShowFeed) -> t.ShowPut:
        """Takes a show in. One that is cancelled, postponed or moved wakes the cases that wait for that."""
        answer: t.ShowPut = self._call("PUT", f"/v1/shows/{_part(ref)}", body=body)
        return answer

    def put_incident(self, ref: str, incident: str, body: t.IncidentFeed) -> t.ShowPut:
        """Takes an incident in: running while it has no end. When it ends, the cases that wait for that are decided."""
        answer: t.ShowPut = self._call("PUT", f"/v1/shows/{_part(ref)}/incidents/{_part(incident)}", body=body)
        return answer

    def put_notice(self, ref: str, body: t.NoticePut) -> t.NoticesShown:
        """Tells every widget of the show, or says something else there. The same words again change nothing. Who follows gets a letter."""
        answer: t.NoticesShown = self._call("PUT", f"/v1/shows/{_part(ref)}/notice", body=body)
        return answer

    def end_notice(self, ref: str, *, reason: str | None = None) -> None:
        """It is over: widgets say so for ten minutes, who follows gets a last letter. Where nothing is said nothing changes."""
        self._call("DELETE", f"/v1/shows/{_part(ref)}/notice", query={"reason": reason})

    def quote_wait(self, *, skill: str | None = None) -> t.WaitQuote:
        """How long people take to look at a case, from what they did within the last 30 minutes."""
        answer: t.WaitQuote = self._call("GET", "/v1/wait", query={"skill": skill})
        return answer


def _part(name: str) -> str:
    return quote(name, safe="")
