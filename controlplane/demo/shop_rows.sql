-- Rows for a shop of about demo.rows rows in all, spread over two years that end yesterday.

SELECT setseed(0.42);

CREATE TEMPORARY TABLE amounts AS
SELECT greatest(10, n * 6 / 100) AS customers, greatest(10, n / 100) AS products, greatest(20, n * 20 / 100) AS orders,
       greatest(20, n * 17 / 100) AS audit, greatest(20, n * 15 / 100) AS events, greatest(10, n / 100) AS wide
FROM (SELECT current_setting('demo.rows')::int) AS asked (n);

CREATE FUNCTION pg_temp.some_time(share double precision) RETURNS timestamptz LANGUAGE sql AS $$
    -- More towards the end: the shop has grown.
    SELECT now() - interval '1 day' - interval '730 days' * (1 - sqrt(share))
$$;

CREATE FUNCTION pg_temp.pick(words text[], share double precision) RETURNS text LANGUAGE sql AS $$
    SELECT words[1 + floor(share * cardinality(words))::int]
$$;

INSERT INTO public.products
SELECT 'SKU-' || lpad(n::text, 6, '0'),
       pg_temp.pick('{Oak,Steel,Linen,Glass,Café,Größe L,Wool,Cork,青花}', random()) || ' '
           || pg_temp.pick('{table,lamp,blanket,vase,chair,shelf,cup,clock}', random()) || ' ' || n,
       pg_temp.pick('{furniture,lighting,textiles,kitchen,decoration}', random()),
       round((3 + exp(random() * 6))::numeric, 2),
       CASE WHEN random() < 0.9 THEN (random() * 40)::real END,
       jsonb_build_object('colour', pg_temp.pick('{red,green,blue,black,natural}', random()), 'rating',
                          round((random() * 5)::numeric, 1), 'in stock', random() < 0.8),
       CASE WHEN random() < 0.05 THEN pg_temp.some_time(random())::timestamp END,
       pg_temp.some_time(random())
FROM amounts, generate_series(1, products) n;

INSERT INTO sales.customers (first_name, last_name, email, phone, city, country, born_on, newsletter, credit, tags,
                             note, created_at, updated_at)
SELECT first_name, last_name, lower(format('%s.%s%s@%s', translate(first_name, ' ''', ''), last_name, n, host)),
       CASE WHEN random() < 0.8 THEN '+49 30 ' || (1000000 + floor(random() * 8999999))::int END,
       CASE WHEN random() < 0.95 THEN city END, country,
       CASE WHEN random() < 0.7 THEN date '1940-01-01' + (random() * 24000)::int END,
       random() < 0.4, CASE WHEN random() < 0.1 THEN round((random() * 500 - 100)::numeric, 2) ELSE 0 END,
       CASE WHEN random() < 0.2 THEN ARRAY['vip', 'since ' || 2000 + n % 25] ELSE '{}' END,
       CASE WHEN random() < 0.1 THEN E'Calls back on "Fridays"\tonly;\nprefers e-mail \\ no post ☎' END,
       created_at, created_at + random() * (now() - interval '1 day' - created_at)
FROM (SELECT n, pg_temp.some_time(random()) AS created_at,
             pg_temp.pick('{Anna,Björn,Chloé,Đặng,Эмма,Noor,O''Brian,Zoë,José,小林,Mary Ann,Yusuf}', random())
                 AS first_name,
             pg_temp.pick('{Schmidt,Núñez,Nguyễn,Иванова,Smith,Öztürk,Kowalski,Rossi,Haddad,Łukasz}', random())
                 AS last_name,
             pg_temp.pick('{example.com,example.org,mail.example.net}', random()) AS host,
             pg_temp.pick('{Berlin,København,São Paulo,Kraków,Zürich,Tōkyō,Hà Nội,Lyon,Porto}', random()) AS city,
             pg_temp.pick('{DE,DK,BR,PL,CH,JP,VN,FR,PT}', random()) AS country
      FROM amounts, generate_series(1, customers) n) AS people;

INSERT INTO sales.orders (customer_id, status, placed_at, currency, total, shipping, comment, updated_at)
SELECT 1 + floor(pow(random(), 2) * customers)::bigint,
       (enum_range(NULL::sales.order_status))[1 + floor(sqrt(random()) * 6)::int], placed_at,
       pg_temp.pick('{EUR,EUR,EUR,USD,CHF}', random()), round(exp(2 + random() * 5)::numeric, 2),
       jsonb_build_object('street', 'Main Street ' || n % 200, 'zip', lpad((n % 99999)::text, 5, '0'), 'floor', n % 7),
       CASE WHEN random() < 0.08 THEN 'Please ring twice — naïve café ' || n END,
       placed_at + random() * (now() - interval '1 day' - placed_at)
FROM (SELECT n, customers, pg_temp.some_time(n::double precision / orders) AS placed_at
      FROM amounts, generate_series(1, orders) n) AS placed;

INSERT INTO sales.order_items (order_id, line_no, sku, quantity, unit_price, gift_text, updated_at)
SELECT o.id, line_no, 'SKU-' || lpad((1 + (o.id * 7 + line_no * 13) % products)::text, 6, '0'),
       1 + (o.id % 4)::int, round((1 + random() * 200)::numeric, 2),
       CASE WHEN random() < 0.02 THEN '🎁 for you' END, o.updated_at
FROM amounts, sales.orders o, generate_series(1, 1 + (o.id % 3)::int) line_no;

INSERT INTO public.audit_log (at, actor, action, object_id, address, detail)
SELECT pg_temp.some_time(n::double precision / audit), pg_temp.pick('{system,import,anna,björn,api}', random()),
       pg_temp.pick('{login,logout,order.create,order.pay,customer.edit,price.change}', random()),
       CASE WHEN random() < 0.9 THEN floor(random() * orders)::bigint END,
       ('10.' || n % 250 || '.' || n % 13 || '.' || n % 251)::inet,
       CASE WHEN random() < 0.5 THEN json_build_object('took_ms', n % 900, 'ok', n % 17 > 0) END
FROM amounts, generate_series(1, audit) n;

INSERT INTO public.events (happened_at, customer_id, kind, payload, updated_at)
SELECT happened_at, CASE WHEN random() < 0.7 THEN 1 + floor(random() * customers)::bigint END,
       pg_temp.pick('{view,view,view,search,basket,checkout}', random()),
       jsonb_build_object('page', '/p/' || n % 500, 'seconds', n % 90, 'agent', NULL), happened_at
FROM (SELECT n, customers, pg_temp.some_time(random()) AS happened_at
      FROM amounts, generate_series(1, events) n) AS seen;

INSERT INTO public.wide_types
SELECT md5('wide' || n)::uuid, (n % 65536 - 32768)::smallint,
       CASE n % 7 WHEN 0 THEN 'NaN' WHEN 1 THEN NULL ELSE (n * 1234567890123456789.0000001) END,
       CASE n % 5 WHEN 0 THEN 'Infinity'::float8 WHEN 1 THEN '-0'::float8 WHEN 2 THEN 'NaN' ELSE 1 / (n + 0.3) END,
       (n * 1.37)::numeric::money, n % 3 = 0, 'x', 'code ' || n % 1000, 'ab', repeat('ä€𝄞 ', n % 50) || E'\t\\N\n"',
       decode(md5(n::text), 'hex'), '{"b": 1.10, "a": 1, "a": 2}', jsonb_build_object('n', n, 'deep', '[1, [2, null]]'),
       CASE n % 9 WHEN 0 THEN 'infinity' WHEN 1 THEN '0044-03-15 BC' ELSE date '2000-01-01' + n % 9000 END,
       timestamp '2024-02-29 23:59:59.999999' + n * interval '1 second', now() - n * interval '7 minutes',
       CASE n % 4 WHEN 0 THEN time '24:00' ELSE time '00:00:00.000001' END, '10:20:30.5+05:30',
       make_interval(months => n % 30, days => n % 40, secs => n), '10.1.0.0/16', '2001:db8::1/64',
       '08:00:2b:01:02:03', (n % 256)::bit(8), B'10110', point(n, -n), '((0,0),(1,1),(1,0))',
       daterange(date '2024-01-01', date '2024-01-02' + n % 100), '{[1,3), [7,9)}', to_tsvector('simple', 'cats ' || n),
       ARRAY[[n, 2], [3, NULL]], ARRAY['NULL', NULL, 'a,"b"', '{}'],
       (enum_range(NULL::sales.order_status))[1 + n % 6], (1.5, n, NULL)::public.dimensions,
       now() - interval '1 day' - n * interval '1 minute'
FROM amounts, generate_series(1, wide) n;

-- Indexes and foreign keys last, so that loading is quick. The destination gets the indexes after its first copy.
CREATE INDEX customers_email ON sales.customers (lower(email));
CREATE INDEX customers_updated ON sales.customers (updated_at);
CREATE INDEX orders_customer ON sales.orders (customer_id, placed_at DESC);
CREATE INDEX orders_updated ON sales.orders (updated_at);
ALTER TABLE sales.orders ADD FOREIGN KEY (customer_id) REFERENCES sales.customers;
ALTER TABLE sales.order_items ADD FOREIGN KEY (order_id) REFERENCES sales.orders ON DELETE CASCADE;
ALTER TABLE sales.order_items ADD FOREIGN KEY (sku) REFERENCES public.products;

-- Triggers too: loading must not move updated_at.
CREATE TRIGGER touch BEFORE UPDATE ON public.products FOR EACH ROW EXECUTE FUNCTION public.touch();
CREATE TRIGGER touch BEFORE UPDATE ON sales.customers FOR EACH ROW EXECUTE FUNCTION public.touch();
CREATE TRIGGER touch BEFORE UPDATE ON sales.orders FOR EACH ROW EXECUTE FUNCTION public.touch();
CREATE TRIGGER touch BEFORE UPDATE ON sales.order_items FOR EACH ROW EXECUTE FUNCTION public.touch();
CREATE TRIGGER touch BEFORE UPDATE ON public.events FOR EACH ROW EXECUTE FUNCTION public.touch();
CREATE TRIGGER touch BEFORE UPDATE ON public.wide_types FOR EACH ROW EXECUTE FUNCTION public.touch();
ANALYZE;
