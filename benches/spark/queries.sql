-- Queries whose explanations are compared with Spark's: every operator, and how expressions are shown.
-- name: scan
SELECT * FROM items;
-- name: scan_filters
SELECT id FROM items WHERE k = 3 AND price > 2.5 AND name LIKE 'a%' AND day >= DATE '2024-03-01' AND id IN (1, 2, 3) AND flag;
-- name: scan_filters_more
SELECT id FROM items WHERE (k < 3 OR k IS NULL) AND name <> 'x' AND NOT (price >= 9.0) AND name LIKE '%b' AND cost <= 12.50 AND k <=> 2;
-- name: scan_timestamp
SELECT id FROM items WHERE at > TIMESTAMP '2024-01-01 12:30:00' AND name LIKE '%mid%' AND name LIKE 'a_b%';
-- name: partition_filter
SELECT region, sum(sales) AS total_sales FROM transactions WHERE year = 2024 GROUP BY region;
-- name: project
SELECT id + 1 AS next, k * 2, price / 2, -k, upper(name), CASE WHEN k > 1 THEN 'big' WHEN k IS NULL THEN 'none' ELSE 'small' END AS size FROM items;
-- name: casts
SELECT cast(k AS string), cast(name AS int), cast(price AS decimal(8, 3)), cast(id AS double), cast(day AS timestamp), k + id, cost * 2, cost + cost FROM items;
-- name: dates
SELECT year(day), date_add(day, 3), day + INTERVAL 1 MONTH, datediff(day, DATE '2024-01-01'), at + INTERVAL 2 HOURS, date_trunc('MONTH', at), extract(MONTH FROM day) FROM items;
-- name: strings
SELECT concat(name, '-', name), substring(name, 1, 3), length(name), trim(name), name || 'x', coalesce(name, 'none'), nullif(name, 'a'), if(flag, 1, 0), replace(name, 'a', 'b') FROM items;
-- name: nested
SELECT tags[0], size(tags), array_contains(tags, 'a'), struct(id, k) AS pair, map('a', k) AS m FROM items;
-- name: hash_aggregate
SELECT k, count(*) AS n, sum(price), avg(price), min(id), max(day), sum(cost), avg(k), sum(k) FROM items GROUP BY k;
-- name: no_keys
SELECT count(*), sum(id) FROM items;
-- name: having
SELECT k, count(name) AS n FROM items GROUP BY k HAVING count(name) > 2 AND sum(id) < 100;
-- name: group_by_expression
SELECT year(day) AS y, sum(price) * 2 FROM items GROUP BY year(day);
-- name: object_hash_aggregate
SELECT k, collect_list(id), collect_set(name) FROM items GROUP BY k;
-- name: sort_aggregate
SELECT k, min(name), max(name) FROM items GROUP BY k;
-- name: distinct_one
SELECT k, count(DISTINCT name), sum(price) FROM items GROUP BY k;
-- name: distinct_two
SELECT k, count(DISTINCT name), count(DISTINCT day), sum(price) FROM items GROUP BY k;
-- name: aggregate_filter
SELECT k, sum(price) FILTER (WHERE flag), count(*) FILTER (WHERE id > 3) FROM items GROUP BY k;
-- name: select_distinct
SELECT DISTINCT k, flag FROM items;
-- name: more_aggregates
SELECT k, stddev(price), first(name), corr(price, id), bool_or(flag), max_by(id, price), approx_count_distinct(id) FROM items GROUP BY k;
-- name: broadcast_inner
SELECT i.id, g.label FROM items i JOIN kinds g ON i.k = g.k WHERE i.price > 10;
-- name: broadcast_left
SELECT i.id, g.label FROM items i LEFT JOIN kinds g ON i.k = g.k AND i.price > g.low;
-- name: broadcast_semi
SELECT id FROM items WHERE k IN (SELECT k FROM kinds WHERE low > 1.0);
-- name: broadcast_anti
SELECT id FROM items i WHERE NOT EXISTS (SELECT 1 FROM kinds g WHERE g.k = i.k);
-- name: null_aware_anti
SELECT id FROM items WHERE k NOT IN (SELECT k FROM kinds);
-- name: existence
SELECT id FROM items WHERE price > 50 OR EXISTS (SELECT 1 FROM kinds g WHERE g.k = items.k);
-- name: two_keys
SELECT a.id FROM items a JOIN items b ON a.id = b.id AND a.name = b.name;
-- name: sort_merge
SELECT /*+ MERGE(g) */ i.id, g.label FROM items i JOIN kinds g ON i.k = g.k AND i.price < g.low;
-- name: sort_merge_full
SELECT /*+ MERGE(g) */ i.id, g.label FROM items i FULL JOIN kinds g ON i.k = g.k;
-- name: shuffled_hash
SELECT /*+ SHUFFLE_HASH(g) */ i.id, g.label FROM items i JOIN kinds g ON i.k = g.k;
-- name: nested_loop
SELECT i.id, g.label FROM items i JOIN kinds g ON i.price > g.low;
-- name: nested_loop_left
SELECT i.id, g.label FROM items i LEFT JOIN kinds g ON i.price > g.low;
-- name: cross
SELECT i.id, g.label FROM items i CROSS JOIN kinds g;
-- name: cartesian
SELECT /*+ SHUFFLE_REPLICATE_NL(g) */ i.id, g.label FROM items i JOIN kinds g ON i.k = g.k;
-- name: reused_exchange
SELECT a.k, a.n, b.s FROM (SELECT k, count(*) AS n FROM items GROUP BY k) a JOIN (SELECT k, count(*) AS s FROM items GROUP BY k) b ON a.k = b.k;
-- name: scalar_subquery
SELECT id FROM items WHERE price > (SELECT avg(low) FROM kinds);
-- name: scalar_subquery_twice
SELECT id, (SELECT max(low) FROM kinds) AS top FROM items WHERE price > (SELECT max(low) FROM kinds);
-- name: window
SELECT id, rank() OVER (PARTITION BY k ORDER BY price DESC) AS rnk, row_number() OVER (PARTITION BY k ORDER BY price DESC) AS rn FROM items;
-- name: window_frames
SELECT id, sum(price) OVER (PARTITION BY k ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS s, lag(price, 1) OVER (PARTITION BY k ORDER BY id) AS before, avg(price) OVER (PARTITION BY k) AS a FROM items;
-- name: window_top
SELECT id FROM (SELECT id, rank() OVER (PARTITION BY k ORDER BY price) AS r FROM items) WHERE r <= 3;
-- name: sort
SELECT id, price FROM items ORDER BY price DESC, id;
-- name: sort_by
SELECT id, price FROM items SORT BY price;
-- name: top_k
SELECT id, price * 2 AS p FROM items ORDER BY price DESC LIMIT 10;
-- name: top_k_offset
SELECT id FROM items ORDER BY id LIMIT 10 OFFSET 5;
-- name: limit
SELECT id FROM items LIMIT 7;
-- name: limit_inside
SELECT count(*) FROM (SELECT id FROM items LIMIT 7);
-- name: limit_offset
SELECT id FROM items LIMIT 7 OFFSET 3;
-- name: rollup
SELECT k, flag, sum(price) FROM items GROUP BY ROLLUP(k, flag);
-- name: grouping_sets
SELECT k, flag, grouping(k), count(*) FROM items GROUP BY GROUPING SETS ((k), (flag));
-- name: explode
SELECT id, tag FROM items LATERAL VIEW explode(tags) t AS tag;
-- name: explode_outer
SELECT id, explode_outer(tags) FROM items;
-- name: posexplode
SELECT id, pos, tag FROM items LATERAL VIEW OUTER posexplode(tags) t AS pos, tag;
-- name: union_all
SELECT id FROM items UNION ALL SELECT k FROM kinds;
-- name: union
SELECT k FROM items UNION SELECT k FROM kinds;
-- name: intersect
SELECT k FROM items INTERSECT SELECT k FROM kinds;
-- name: except
SELECT k FROM items EXCEPT SELECT k FROM kinds;
-- name: sample
SELECT id FROM items TABLESAMPLE (10 PERCENT) REPEATABLE (7);
-- name: range
SELECT id, id % 3 FROM range(0, 100, 2, 4) WHERE id > 5;
-- name: local_table
SELECT * FROM VALUES (1, 'a'), (2, 'b') AS t(x, y);
-- name: one_row
SELECT 1 AS one, current_date() IS NOT NULL AS today;
-- name: coalesce
SELECT /*+ COALESCE(2) */ id FROM items;
-- name: repartition
SELECT /*+ REPARTITION(5) */ id FROM items;
-- name: repartition_by
SELECT /*+ REPARTITION(5, k) */ id, k FROM items;
-- name: repartition_range
SELECT /*+ REPARTITION_BY_RANGE(5, k) */ id, k FROM items;
-- name: cte
WITH big AS (SELECT k, price FROM items WHERE price > 5) SELECT big.k, kinds.label FROM big JOIN kinds ON big.k = kinds.k;
-- name: many_columns
SELECT * FROM wide WHERE c1 > 0;
-- name: in_many
SELECT id FROM items WHERE k IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
-- name: empty
SELECT id FROM items WHERE 1 = 2;
