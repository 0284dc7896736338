-- The tables of a shop, as a team might have grown them over some years.

CREATE SCHEMA sales;

CREATE TYPE sales.order_status AS ENUM ('new', 'paid', 'packed', 'sent', 'delivered', 'returned');
CREATE DOMAIN sales.positive_count AS integer CHECK (VALUE > 0);
CREATE TYPE public.dimensions AS (width numeric(8, 2), height numeric(8, 2), depth numeric(8, 2));

-- What syncing and mirroring find changed rows by: every update moves updated_at.
CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

CREATE TABLE public.products (
    sku text PRIMARY KEY,
    name text NOT NULL,
    category text NOT NULL,
    price numeric(10, 2) NOT NULL,
    weight_kg real,
    attributes jsonb NOT NULL DEFAULT '{}',
    discontinued_at timestamp,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sales.customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uid uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    first_name text NOT NULL,
    last_name text NOT NULL,
    email text NOT NULL,
    phone text,
    city text,
    country char(2) NOT NULL,
    born_on date,
    newsletter boolean NOT NULL DEFAULT false,
    credit numeric(12, 2) NOT NULL DEFAULT 0,
    tags text[] NOT NULL DEFAULT '{}',
    note text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sales.orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL,
    status sales.order_status NOT NULL DEFAULT 'new',
    placed_at timestamptz NOT NULL DEFAULT now(),
    currency char(3) NOT NULL DEFAULT 'EUR',
    total numeric(12, 2) NOT NULL,
    shipping jsonb NOT NULL,
    comment text,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sales.order_items (
    order_id bigint NOT NULL,
    line_no smallint NOT NULL,
    sku text NOT NULL,
    quantity sales.positive_count NOT NULL,
    unit_price numeric(10, 2) NOT NULL,
    amount numeric(14, 2) GENERATED ALWAYS AS (quantity * unit_price) STORED,
    gift_text text,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, line_no)
);

CREATE TABLE public.audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    action text NOT NULL,
    object_id bigint,
    address inet,
    detail json
);

CREATE TABLE public.events (
    event_id uuid NOT NULL DEFAULT gen_random_uuid(),
    happened_at timestamptz NOT NULL,
    customer_id bigint,
    kind text NOT NULL,
    payload jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, happened_at)
) PARTITION BY RANGE (happened_at);

DO $$
DECLARE
    first date := date_trunc('quarter', now() - interval '27 months');
BEGIN
    WHILE first < now() + interval '3 months' LOOP
        EXECUTE format(
            'CREATE TABLE public.%I PARTITION OF public.events FOR VALUES FROM (%L) TO (%L)',
            to_char(first, '"events_"YYYY"q"Q'), first, first + interval '3 months'
        );
        first := first + interval '3 months';
    END LOOP;
END
$$;

CREATE TABLE public.wide_types (
    id uuid PRIMARY KEY,
    tiny smallint,
    amount numeric,
    ratio double precision,
    price money,
    flag boolean,
    letter "char",
    code varchar(12),
    fixed char(6),
    body text,
    raw bytea,
    plain_json json,
    binary_json jsonb,
    day date,
    wall_time timestamp,
    instant timestamptz,
    at_time time,
    at_time_zone timetz,
    span interval,
    net cidr,
    host inet,
    card macaddr,
    bits bit(8),
    more_bits bit varying(20),
    place point,
    area polygon,
    days daterange,
    numbers int4multirange,
    words tsvector,
    matrix integer[],
    moods text[],
    status sales.order_status,
    size public.dimensions,
    updated_at timestamptz NOT NULL DEFAULT now()
);
