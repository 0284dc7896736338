-- A day in the shop: what happens between the two runs.

-- Deletions. What they take along (order_items) goes by ON DELETE CASCADE.
DELETE FROM sales.orders WHERE id % 40 = 3;
DELETE FROM public.wide_types WHERE tiny % 10 = -1;
DELETE FROM sales.customers c WHERE id % 10 = 7 AND NOT EXISTS (SELECT FROM sales.orders o WHERE o.customer_id = c.id);

-- New customers, orders, log lines.
INSERT INTO sales.customers (first_name, last_name, email, city, country)
SELECT 'New', 'Customer ' || n, 'new.customer' || n || '@example.com', 'Łódź', 'PL' FROM generate_series(1, 200) n;

WITH placed AS (
    INSERT INTO sales.orders (customer_id, total, shipping)
    SELECT 1 + n % 10, 19.99 + n, '{"street": "New Road 1"}' FROM generate_series(1, 500) n
    RETURNING id
)
INSERT INTO sales.order_items (order_id, line_no, sku, quantity, unit_price)
SELECT id, 1, 'SKU-000001', 2, 9.99 FROM placed;

INSERT INTO public.audit_log (actor, action, object_id)
SELECT 'demo', 'order.create', n FROM generate_series(1, 700) n;

INSERT INTO public.products (sku, name, category, price)
SELECT 'NEW-' || n, 'Fresh idea ' || n, 'decoration', 5 FROM generate_series(1, 20) n;

-- Changes; the triggers move updated_at.
UPDATE sales.customers SET city = 'Göteborg', newsletter = NOT newsletter WHERE id % 50 = 0;
UPDATE sales.orders SET status = 'delivered', comment = NULL WHERE id % 20 = 0;
UPDATE sales.order_items SET quantity = quantity + 1 WHERE order_id % 25 = 0;
UPDATE public.products SET price = price * 1.1 WHERE sku LIKE 'SKU-%5';
UPDATE public.events SET payload = payload || '{"seen twice": true}' WHERE payload @> '{"seconds": 7}';
UPDATE public.wide_types SET numbers = '{[100,200)}', body = 'changed' WHERE tiny % 10 = 0;

-- A new column that has values at once, also in rows that nobody has touched since.
ALTER TABLE sales.customers ADD COLUMN loyalty_points integer NOT NULL DEFAULT 100;
UPDATE sales.customers SET loyalty_points = 250 WHERE newsletter;

-- The products that nobody may order any more.
UPDATE public.products SET discontinued_at = now() WHERE category = 'lighting' AND price > 300;
