-- One-time codes by text message: what one proves is an address and a phone together, never the address alone.

ALTER TABLE one_time_code
    ADD COLUMN channel text NOT NULL DEFAULT 'mail' CHECK (channel IN ('mail', 'text')),
    ADD COLUMN text_email text,                  -- of a text: the address whose buyer it is for (`email` stays null: it proves no address)
    ADD COLUMN text_phone text,                  -- of a text: the phone it goes to (E.164); null where there is none to write to
    ADD CONSTRAINT a_text_proves_no_address CHECK (channel = 'mail' OR (email IS NULL AND only_pass IS NULL)),
    ADD CONSTRAINT a_mail_proves_no_phone CHECK (channel = 'text' OR (text_email IS NULL AND text_phone IS NULL));

ALTER TABLE session
    ADD COLUMN text_email text,                  -- with text_phone: what a text proved, cleared with the session
    ADD COLUMN text_phone text,
    ADD COLUMN text_until timestamptz,           -- when that falls away
    ADD COLUMN both_until timestamptz,           -- while mail and text of one address are fresh: strong for the orders that fit both
    ADD CONSTRAINT a_text_proves_address_and_phone_together
        CHECK ((text_email IS NULL) = (text_phone IS NULL) AND (text_email IS NULL) = (text_until IS NULL));
