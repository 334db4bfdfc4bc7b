-- Six digits behind the point rounded what a result line says (0.24176750000000002).
-- The change of type keeps every value and, as it only drops a limit, rewrites no row.
ALTER TABLE build ALTER COLUMN cost_usd TYPE numeric;
COMMENT ON COLUMN build.cost_usd IS 'US dollars, exact, with as many digits as there are; null while unknown.';
