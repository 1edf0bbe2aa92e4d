"""Builds the message that goes over the wire from a rendered mail; pure, and the same for every mailer."""

from __future__ import annotations

import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage, MIMEPart
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Final

import msgspec

from service.ports import Declined, Mail, Unavailable

# What a header cannot hold: control characters (RFC 5322, section 2.2) and the line ends that Unicode adds.
_BREAKS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# An address as mail programs take it: a dot-string (RFC 5321, section 4.1.2, and RFC 6531 beyond ASCII), no quoted local part.
_LOCAL_PART: Final = re.compile(r"[^\s\x00-\x20\x7f-\xa0\"(),.:;<>@\[\\\]]+(\.[^\s\x00-\x20\x7f-\xa0\"(),.:;<>@\[\\\]]+)*")
_DOMAIN: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", re.ASCII | re.IGNORECASE)
# RFC 5321, section 4.5.3.1: 64 octets before the @, 255 after it.
_LOCAL_PART_BYTES_MAX: Final = 64
_DOMAIN_LENGTH_MAX: Final = 255


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message with its envelope. `content` is 7-bit apart from headers with an address that needs SMTPUTF8 (RFC 6531)."""

    sender: str
    recipient: str
    content: bytes
    needs_utf8: bool


def compose(mail: Mail, sender: str, at: datetime) -> Message:
    """The mail as a MIME message: text and HTML as alternatives, pictures beside the HTML, then files. Takes 3 ms. Raises as `address`."""
    author, recipient, reply_to = address(mail, sender)
    message = EmailMessage()
    message["From"] = author
    message["To"] = recipient
    if reply_to is not None:
        message["Reply-To"] = reply_to
    message["Subject"] = _line(mail.subject)
    message["Date"] = format_datetime(at)
    # The same for every sending of this mail, so that a receiver can drop a second copy.
    message["Message-ID"] = f"<{mail.message_key.hex}@{author.domain}>"
    # RFC 3834: no out-of-office answers to us.
    message["Auto-Submitted"] = "auto-generated"
    _fill(message, mail)
    # Last: what is set before the parts moves into the first of them.
    message["Content-Language"] = _line(mail.language)
    needs_utf8 = not (recipient.username + author.username).isascii()
    policy = SMTP.clone(utf8=needs_utf8, cte_type="7bit")
    return Message(sender=author.addr_spec, recipient=recipient.addr_spec, content=message.as_bytes(policy=policy), needs_utf8=needs_utf8)


def address(mail: Mail, sender: str) -> tuple[Address, Address, Address | None]:
    """Author, recipient and reply address. `sender` (`Name <address>`) counts where the mail names none.

    Raises Declined for a recipient that is no address, and Unavailable (configuration) for such a sender or reply address.
    """
    author = _configured(mail.sender or sender)
    recipient = _address(mail.to)
    if recipient is None:
        raise Declined("declined", "the recipient is no address")
    return author, recipient, _configured(mail.reply_to) if mail.reply_to else None


def domain_of(sender: str) -> str:
    """The domain of `Name <address>`. Raises Unavailable (configuration)."""
    return str(_configured(sender).domain)


def _fill(message: EmailMessage, mail: Mail) -> None:
    message.set_content(_storable(mail.text), cte="quoted-printable")
    message.add_alternative(_storable(mail.html), subtype="html", cte="quoted-printable")
    page = message.get_payload(1)
    assert isinstance(page, MIMEPart)  # noqa: S101 - for the type checker: add_alternative has just put it there
    for cid, png in mail.images.items():
        name = _line(cid)
        page.add_related(png, "image", "png", cid=f"<{name}>", filename=f"{name}.png", disposition="inline")
    for file in mail.files:
        kind, _, subtype = file.type.partition("/")
        # Base64 for text too: its line ends and long lines are the file's own.
        message.add_attachment(file.content, kind, subtype, filename=_line(file.name))


def _configured(text: str) -> Address:
    name, spec = parseaddr(_line(text))
    address = _address(spec, name)
    if address is None:
        raise Unavailable("the sender or reply address is not a mail address", never_sent=True, configuration=True)
    return address


def _address(spec: str, name: str = "") -> Address | None:
    """The address with its domain in ASCII (IDNA), or None."""
    username, _, domain = spec.rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode("ascii")
        local_length = len(username.encode())
    except UnicodeError:
        return None
    if not _LOCAL_PART.fullmatch(username) or not _DOMAIN.fullmatch(ascii_domain):
        return None
    if local_length > _LOCAL_PART_BYTES_MAX or len(ascii_domain) > _DOMAIN_LENGTH_MAX:
        return None
    return Address(display_name=name, username=username, domain=ascii_domain)


def _line(text: str) -> str:
    return _storable(_BREAKS.sub(" ", text)).strip()


def _storable(text: str) -> str:
    """Half a surrogate pair cannot be written as UTF-8; a question mark stands in."""
    return text.encode("utf-8", "replace").decode("utf-8")
