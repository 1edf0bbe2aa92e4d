"""Files: taken by what they are, kept until they are sent, given to whom the reply was for, and never run by a browser."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import attachments
from service.attachments import BYTES_MAX, TYPES, NotThatType
from service.post import FILES_BYTES_MAX
from service.store.answering import UNSENT_MAX, AnsweringStore
from tests.desk.talking import PNG, talk
from tests.promises.house import House, uuid_of

_GOOD = {
    "image/png": PNG,
    "image/jpeg": b"\xff\xd8\xff\xe0" + bytes(100),
    "image/webp": b"RIFF\x10\x00\x00\x00WEBPVP8 ",
    "application/pdf": b"%PDF-1.7\n",
    "text/plain": "Größe: 3\r\n\tand more".encode(),
}


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_a_file_is_what_its_content_says(kind: str) -> None:
    assert attachments.checked("a", kind, _GOOD[kind]) == f"a{TYPES[kind][0]}"
    for other in set(TYPES) - {kind, "text/plain"}:
        with pytest.raises(NotThatType):
            attachments.checked("a", other, _GOOD[kind])


@pytest.mark.parametrize("content", [b"", b"MZ\x90\x00", b"a\x00b", b"\xff\xfe\x00", b"\x1b[2J", PNG])
def test_what_is_no_text_is_not_taken_as_text(content: bytes) -> None:
    with pytest.raises(NotThatType):
        attachments.checked("a.txt", "text/plain", content)


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("shot.png", "shot.png"),
        ("SHOT.PNG", "SHOT.png"),
        ("../../etc/passwd", "etc passwd.png"),
        ("invoice.pdf.exe", "invoice.pdf.exe.png"),
        ("C:\\x\\y.png", "C x y.png"),
        ("a\r\nSet-Cookie: b.png", "a Set-Cookie b.png"),
        ("\u202egnp.exe", "gnp.exe.png"),
        ("", "file.png"),
        (".png", "png.png"),
        ("ü" * 300 + ".png", "ü" * 60 + ".png"),
    ],
)
def test_a_name_is_a_name_with_the_ending_of_its_type(given_name: str, kept: str) -> None:
    assert attachments.checked(given_name, "image/png", PNG) == kept


@given(name=st.text(max_size=400), kind=st.sampled_from(sorted(TYPES)))
def test_no_name_is_a_path_or_breaks_a_header(name: str, kind: str) -> None:
    kept = attachments.checked(name, kind, _GOOD[kind])
    assert 0 < len(kept) <= 70
    assert not set(kept) & set('/\\:*?"<>|\r\n\x00')
    assert kept.endswith(TYPES[kind])
    assert not kept.startswith(".")
    assert attachments.checked(kept, kind, _GOOD[kind]) == kept


async def test_a_file_goes_with_a_reply_to_its_customer(house: House, ref: str) -> None:
    said = await talk(house, ref)
    attachment = await said.attached(name="receipt 1.png")
    # Until it is sent it is the desk's alone.
    assert (await said.file(attachment, said.customer)).status_code == 404
    assert (await said.file(attachment, house.desk.platform)).status_code == 404
    assert (await said.file(attachment, said.agent)).content == PNG
    await said.reply("Here it is.", attachments=[attachment])
    shown = (await said.seen_by(said.customer))["messages"][-1]
    assert shown["attachments"] == [{"id": attachment, "name": "receipt 1.png", "type": "image/png", "bytes": len(PNG)}]
    for token in (said.customer, house.desk.platform, said.agent):
        answer = await said.file(attachment, token)
        assert (answer.status_code, answer.content) == (200, PNG)
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["content-disposition"].startswith('attachment; filename="receipt 1.png"')
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"


async def test_a_text_is_told_to_be_utf_8_once(house: House, ref: str) -> None:
    said = await talk(house, ref)
    answer = await said.file(await said.attached("Grüße".encode(), kind="text/plain", name="hello.txt"), said.agent)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == "Grüße"


async def test_a_stranger_has_no_file_of_anothers_case(house: House, ref: str) -> None:
    said, other = await talk(house, ref), await talk(house, f"{ref}b")
    attachment = await said.attached()
    await said.reply("For you alone.", attachments=[attachment])
    assert (await said.file(attachment, other.customer)).status_code == 404
    anyone = await house.client.post("/v1/sessions", headers={"Makegood-Platform": house.desk.slug})
    assert (await said.file(attachment, anyone.json()["token"])).status_code == 404
    for wrong in ("att_" + "0" * 32, "att_x", "case_" + "0" * 32):
        assert (await said.file(wrong, said.agent)).status_code == 404


async def test_small_files_come_with_the_mail_and_large_ones_wait_with_the_case(house: House, ref: str) -> None:
    said = await talk(house, ref)
    await said.reply("small", attachments=[await said.attached(name="a.png")])
    mail = await house.mails.until(said.order.email, lambda one: "> small" in one.text)
    assert [(file.name, file.type, file.content) for file in mail.files] == [("a.png", "image/png", PNG)]
    assert "a.png" in mail.text
    large = PNG + bytes(FILES_BYTES_MAX)
    await said.reply("large", attachments=[await said.attached(large, name="b.png"), await said.attached(name="c.png")])
    mail = await house.mails.until(said.order.email, lambda one: "> large" in one.text)
    assert mail.files == ()
    assert "waiting with your case" in mail.text
    assert "b.png" in mail.text
    assert "c.png" in mail.text
    message = house.mails.mailer.messages[-1]
    assert large not in message


async def test_what_may_not_be_attached_is_refused(house: House, ref: str) -> None:
    said = await talk(house, ref)
    for kind in ("image/svg+xml", "text/html", "application/octet-stream", "application/zip", ""):
        answer = await said.attach(PNG, kind=kind)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (415, "Content-Type"), kind
    lied = await said.attach(b"<script>alert(1)</script>", kind="image/png")
    assert (lied.status_code, lied.json()["errors"][0]["message"]) == (400, "the content is not image/png")
    assert (await said.attach(PNG + bytes(BYTES_MAX), kind="image/png")).status_code == 413
    assert (await said.attach(PNG, token=said.customer)).status_code == 403
    assert (await said.attach(PNG, token=house.desk.platform)).status_code == 403
    assert await house.value("SELECT count(*) FROM attachment WHERE case_id = $1", uuid_of(said.case)) == 0


async def test_a_message_takes_only_what_is_its_cases_and_was_not_sent(house: House, ref: str) -> None:
    said, other = await talk(house, ref), await talk(house, f"{ref}b")
    theirs, sent = await other.attached(), await said.attached()
    await said.reply("once", attachments=[sent])
    for names in ([theirs], [sent], ["att_" + "0" * 32], [theirs, await said.attached()]):
        for route in ("replies", "notes"):
            answer = await said.post(route, {"body": "again", "attachments": names})
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "/attachments")
    six = [await said.attached() for _ in range(6)]
    assert (await said.post("replies", {"body": "six", "attachments": six})).status_code == 400
    assert [one["body"] for one in (await said.seen_by(said.agent))["messages"]] == ["something is odd", "once"]


async def test_a_reply_sent_again_takes_its_files_once(house: House, ref: str) -> None:
    said = await talk(house, ref)
    body = {"body": "with a file", "attachments": [await said.attached()]}
    answers = [await said.post("replies", body, key="one") for _ in range(3)]
    assert {one.status_code for one in answers} == {200}
    assert len([one for one in answers[-1].json()["messages"] if one["attachments"]]) == 1


async def test_files_that_nobody_sends_are_few_and_forgotten(house: House, ref: str) -> None:
    said = await talk(house, ref)
    sent = await said.attached()
    await said.reply("kept", attachments=[sent])
    for _ in range(UNSENT_MAX):
        await said.attached()
    full = await said.attach(PNG)
    assert (full.status_code, full.json()["type"].rpartition(":")[2]) == (409, "too_many_attachments")
    store = AnsweringStore(house.pool)
    await store.forget_old()
    assert await _kept(house, said.case) == UNSENT_MAX + 1
    await house.pool.execute("UPDATE attachment SET created_at = created_at - interval '25 hours' WHERE case_id = $1", uuid_of(said.case))
    await store.forget_old()
    assert await _kept(house, said.case) == 1
    assert (await said.file(sent, said.agent)).status_code == 200


async def _kept(house: House, case: str) -> int:
    found: int = await house.value("SELECT count(*) FROM attachment WHERE case_id = $1", uuid_of(case))
    return found


def test_nothing_that_is_taken_can_run() -> None:
    endings: Iterable[str] = (one for endings in TYPES.values() for one in endings)
    assert not set(endings) & {".svg", ".html", ".htm", ".js", ".exe", ".xhtml", ".xml"}
