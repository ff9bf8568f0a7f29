-- Queries over fixtures/sales that every engine must answer alike (tests/engines.rs). The interpreter's answers were compared
-- with DuckDB's; they differ only where Spark does: concat() of NULL, casts of decimals to integers, dates plus intervals.

SELECT region, product, count(*) AS n, sum(amount) AS s, avg(quantity) AS a, min(ordered_at) AS d FROM orders GROUP BY region, product ORDER BY region NULLS FIRST, product;

SELECT region, product, count(*) AS n, sum(quantity) FROM orders GROUP BY ROLLUP (region, product) ORDER BY 1 NULLS FIRST, 2 NULLS FIRST, 3, 4;

SELECT region, product, count(*) AS n, grouping(region) AS g FROM orders GROUP BY CUBE (region, product) ORDER BY 1 NULLS FIRST, 2 NULLS FIRST, 3, 4;

SELECT region, count(DISTINCT product) AS p, count(DISTINCT customer_id) AS c, sum(DISTINCT quantity) AS q, count(*) AS n FROM orders GROUP BY region ORDER BY region NULLS FIRST;

SELECT count(DISTINCT product), count(DISTINCT region), avg(amount) FROM orders;

SELECT c.name, o.order_id FROM customers c LEFT JOIN orders o ON c.id = o.customer_id AND o.amount > 1000 ORDER BY c.id, o.order_id NULLS FIRST;

SELECT c.id, o.order_id FROM customers c RIGHT JOIN orders o ON c.id = o.customer_id WHERE o.amount > 1500 ORDER BY o.order_id;

SELECT c.id, o.order_id FROM customers c FULL OUTER JOIN orders o ON c.id = o.customer_id AND o.quantity = 9 ORDER BY 1 NULLS FIRST, 2 NULLS FIRST;

SELECT count(*) FROM customers c FULL OUTER JOIN orders o ON c.id = o.customer_id;

SELECT count(*) FROM orders a JOIN orders b ON a.region = b.region AND a.quantity < b.quantity;

SELECT count(*), sum(a.quantity * b.quantity) FROM orders a, orders b WHERE a.order_id < b.order_id AND a.order_id < 50;

SELECT id, name FROM customers WHERE id NOT IN (SELECT customer_id FROM orders WHERE customer_id IS NOT NULL) ORDER BY id;

SELECT id, name FROM customers WHERE id NOT IN (SELECT customer_id FROM orders) ORDER BY id;

SELECT id FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id AND o.amount > 1800) ORDER BY id;

SELECT id FROM customers c WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id) ORDER BY id;

SELECT id, (SELECT sum(amount) FROM orders o WHERE o.customer_id = c.id) AS total FROM customers c ORDER BY id;

SELECT id, (SELECT count(*) FROM orders o WHERE o.customer_id = c.id) AS n FROM customers c ORDER BY id;

SELECT order_id, amount FROM orders o WHERE amount > (SELECT avg(amount) FROM orders i WHERE i.region = o.region) ORDER BY order_id;

SELECT region FROM orders INTERSECT SELECT region FROM regions ORDER BY 1 NULLS FIRST;

SELECT region FROM regions EXCEPT SELECT region FROM orders ORDER BY 1;

SELECT region FROM orders UNION SELECT region FROM regions ORDER BY 1 NULLS FIRST;

SELECT count(*) FROM (SELECT region FROM orders UNION ALL SELECT region FROM regions) t;

SELECT quantity FROM orders WHERE order_id < 100 INTERSECT ALL SELECT quantity FROM orders WHERE order_id >= 700 ORDER BY 1;

SELECT order_id, row_number() OVER (PARTITION BY region ORDER BY amount DESC, order_id) AS r FROM orders ORDER BY order_id;

SELECT order_id, rank() OVER (PARTITION BY region ORDER BY quantity) AS r, dense_rank() OVER (PARTITION BY region ORDER BY quantity) AS d FROM orders ORDER BY order_id;

SELECT order_id, sum(amount) OVER (PARTITION BY region ORDER BY order_id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS s FROM orders ORDER BY order_id;

SELECT order_id, lag(quantity, 1) OVER (PARTITION BY product ORDER BY order_id) AS l, lead(quantity, 2) OVER (PARTITION BY product ORDER BY order_id) AS d FROM orders ORDER BY order_id;

SELECT region, amount, sum(amount) OVER (PARTITION BY region) AS t FROM orders WHERE order_id < 60 ORDER BY order_id;

SELECT order_id, avg(quantity) OVER (ORDER BY order_id ROWS BETWEEN 3 PRECEDING AND 3 FOLLOWING) AS a FROM orders ORDER BY order_id;

SELECT * FROM (SELECT region, product, sum(amount) AS s, rank() OVER (PARTITION BY region ORDER BY sum(amount) DESC) AS r FROM orders GROUP BY region, product) t WHERE r <= 2 ORDER BY region NULLS FIRST, r;

SELECT CASE WHEN quantity > 6 THEN 'large' WHEN quantity > 3 THEN 'middle' ELSE 'small' END AS size, count(*) AS n, sum(amount) AS s FROM orders GROUP BY 1 ORDER BY 1;

SELECT year(ordered_at) AS y, month(ordered_at) AS m, count(*) AS n FROM orders GROUP BY 1, 2 ORDER BY 1, 2;

SELECT extract(year FROM ordered_at) AS y, count(*) FROM orders WHERE ordered_at BETWEEN DATE '2022-06-01' AND DATE '2023-06-01' GROUP BY 1 ORDER BY 1;

SELECT upper(region) AS u, lower(product) AS l, length(product) AS n, substring(product, 2, 3) AS s, concat(product, '-', region) AS c FROM orders WHERE order_id < 40 ORDER BY order_id;

SELECT name FROM customers WHERE name LIKE '%a%' AND name NOT LIKE 'A%' ORDER BY id;

SELECT name FROM customers WHERE name LIKE '_o% S%' ORDER BY id;

SELECT count(*) FROM orders WHERE region IN ('north', 'west') OR product IN ('lamp');

SELECT count(*) FROM orders WHERE region NOT IN ('north', 'west');

SELECT count(*) FROM orders WHERE discount IS NULL OR discount > 0.05;

SELECT coalesce(region, 'none') AS r, sum(coalesce(discount, 0)) AS d FROM orders GROUP BY 1 ORDER BY 1;

SELECT nullif(region, 'north') AS r, count(*) FROM orders GROUP BY 1 ORDER BY 1 NULLS FIRST;

SELECT abs(-5) AS a, round(2.567, 1) AS r, floor(2.7) AS f, ceil(2.1) AS c, power(2, 10) AS p, sqrt(16) AS s;

SELECT sum(amount * (1 - coalesce(discount, 0))) AS net FROM orders;

SELECT amount + quantity AS a, amount * quantity AS m, amount - 0.5 AS s FROM orders WHERE order_id <= 20 ORDER BY order_id;

SELECT min(region), max(region), min(amount), max(amount), min(ordered_at), max(discount) FROM orders;

SELECT max(amount) FROM orders WHERE order_id < 0;

SELECT count(*), sum(quantity) FROM orders WHERE 1 = 0;

SELECT region, count(*) FROM orders WHERE 1 = 0 GROUP BY region;

SELECT product, sum(quantity) AS q FROM orders GROUP BY product HAVING sum(quantity) > 500 ORDER BY q DESC;

SELECT DISTINCT region, quantity > 5 AS big FROM orders ORDER BY 1 NULLS FIRST, 2;

SELECT order_id FROM orders ORDER BY amount DESC, order_id LIMIT 10 OFFSET 5;

SELECT order_id FROM orders ORDER BY region DESC NULLS LAST, amount, order_id LIMIT 25;

WITH t AS (SELECT region, sum(amount) AS s FROM orders GROUP BY region), u AS (SELECT max(s) AS m FROM t) SELECT t.region FROM t JOIN u ON t.s = u.m;

SELECT r.region, r.manager, sum(o.amount) AS s, r.target FROM regions r LEFT JOIN orders o ON r.region = o.region GROUP BY r.region, r.manager, r.target ORDER BY r.region;

SELECT y, sum(sales) FROM (SELECT year AS y, sales FROM transactions WHERE year > 2023) t GROUP BY y ORDER BY y;

SELECT region, sum(sales) AS s FROM transactions WHERE year = 2024 GROUP BY region ORDER BY region;

SELECT stddev_samp(quantity) AS a, var_pop(quantity) AS b FROM orders;

SELECT region, stddev(amount) FROM orders GROUP BY region ORDER BY region NULLS FIRST;

SELECT count(*) FILTER (WHERE quantity > 5) AS a, sum(amount) FILTER (WHERE region = 'east') AS b FROM orders;

SELECT bool_and(quantity > 0) AS a, bool_or(quantity > 8) AS b FROM orders;

SELECT cast(amount AS int) AS i, cast(quantity AS string) AS s, cast('2024-01-05' AS date) AS d FROM orders WHERE order_id < 10 ORDER BY order_id;

SELECT cast(quantity AS double) / 3 AS x, quantity % 4 AS m, -quantity AS n FROM orders WHERE order_id < 10 ORDER BY order_id;

SELECT a.order_id, b.order_id FROM orders a JOIN orders b ON a.customer_id = b.customer_id AND a.order_id < b.order_id WHERE a.product = 'desk' AND b.product = 'chair' ORDER BY 1, 2;

SELECT c.country, o.product, count(*) AS n FROM customers c JOIN orders o ON c.id = o.customer_id JOIN regions r ON r.region = o.region WHERE c.segment IS NOT NULL GROUP BY c.country, o.product ORDER BY 1, 2;

SELECT c.segment, count(*) AS n FROM customers c GROUP BY c.segment ORDER BY c.segment NULLS FIRST;

SELECT * FROM regions ORDER BY target NULLS FIRST;

SELECT count(*) FROM customers c WHERE c.id IN (SELECT customer_id FROM orders WHERE product = 'desk') OR c.country = 'Japan';

SELECT c.id, c.id IN (SELECT customer_id FROM orders WHERE product = 'desk' AND customer_id IS NOT NULL) AS d FROM customers c ORDER BY c.id;

SELECT product, region, sum(amount) AS s FROM orders GROUP BY GROUPING SETS ((product), (region), ()) ORDER BY 1 NULLS FIRST, 2 NULLS FIRST, 3;

SELECT ordered_at + INTERVAL '1' MONTH AS m FROM orders WHERE order_id < 5 ORDER BY order_id;

SELECT count(*) FROM orders o CROSS JOIN regions r;

SELECT o.order_id FROM orders o LEFT SEMI JOIN regions r ON o.region = r.region WHERE o.order_id < 20 ORDER BY 1;

SELECT t.n FROM (VALUES (1), (2), (NULL)) AS t(n) ORDER BY n NULLS FIRST;

SELECT sum(x) FROM (SELECT quantity AS x FROM orders UNION ALL SELECT order_id FROM orders) u;

SELECT region, sum(amount) / sum(quantity) AS unit FROM orders GROUP BY region ORDER BY region NULLS FIRST;

SELECT avg(amount) OVER (PARTITION BY region ORDER BY ordered_at RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS a FROM orders ORDER BY order_id LIMIT 50;

SELECT first_value(amount) OVER (PARTITION BY region ORDER BY order_id) AS f, last_value(amount) OVER (PARTITION BY region ORDER BY order_id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS l FROM orders ORDER BY order_id LIMIT 30;

SELECT ntile(4) OVER (ORDER BY amount, order_id) AS q, order_id FROM orders ORDER BY order_id LIMIT 40;

SELECT percent_rank() OVER (ORDER BY quantity) AS p, cume_dist() OVER (ORDER BY quantity) AS c FROM orders ORDER BY order_id LIMIT 20;

SELECT trim('  x ') AS t, replace('abcabc', 'b', 'X') AS r, lpad('7', 3, '0') AS l, reverse('abc') AS v, instr('hello', 'l') AS i;

SELECT greatest(1, 3, 2) AS g, least(4, 2, 8) AS l;

SELECT count(*) FROM orders WHERE ordered_at < '2023-01-01';

SELECT sum(quantity) FROM orders WHERE customer_id = (SELECT max(customer_id) FROM orders);

SELECT count(*) FROM customers WHERE segment IS NOT NULL;

SELECT count(*) FROM (SELECT segment AS s, id FROM customers) t WHERE s IS NOT NULL AND id > 10;

SELECT count(*) FROM customers c LEFT JOIN orders o ON c.id = o.customer_id AND o.quantity = 9 WHERE o.order_id IS NOT NULL OR c.segment IS NOT NULL;

SELECT segment, n FROM (SELECT segment, count(*) AS n FROM customers GROUP BY segment) t WHERE segment IS NOT NULL OR n > 1000;

SELECT count(*), count(segment), count(DISTINCT segment) FROM customers;

SELECT o.order_id, c.segment IS NULL AS none FROM orders o LEFT JOIN customers c ON o.customer_id = c.id AND c.segment IS NOT NULL WHERE o.order_id < 200;

SELECT region, order_id, n FROM (SELECT region, order_id, row_number() OVER (PARTITION BY region ORDER BY amount, order_id) AS n FROM orders) t WHERE n <= 2;

SELECT region, quantity, r, d FROM (SELECT region, quantity, order_id, rank() OVER (PARTITION BY region ORDER BY quantity DESC) AS r, dense_rank() OVER (PARTITION BY region ORDER BY quantity DESC) AS d FROM orders) t WHERE r < 20 AND d <= 2;

SELECT quantity, d FROM (SELECT quantity, dense_rank() OVER (ORDER BY quantity) AS d FROM orders) t WHERE d = 2;

SELECT region, n, s FROM (SELECT region, row_number() OVER (PARTITION BY region ORDER BY order_id) AS n, sum(quantity) OVER (PARTITION BY region ORDER BY order_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS s FROM orders) t WHERE 4 > n;

SELECT region FROM (SELECT region, rank() OVER (PARTITION BY region ORDER BY order_id) AS n FROM orders) t WHERE n < 1;
