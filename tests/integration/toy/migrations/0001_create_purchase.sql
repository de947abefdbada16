CREATE TABLE purchase (
    order_id uuid PRIMARY KEY,
    times    integer NOT NULL CHECK (times < 100)
);

-- What was handled, once for each time; which batch it was in, the transaction tells.
CREATE TABLE heard (
    position    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id  uuid NOT NULL,
    type        text NOT NULL,
    text        text NOT NULL,
    waiting     boolean NOT NULL,
    transaction text NOT NULL DEFAULT pg_current_xact_id()::text
);
