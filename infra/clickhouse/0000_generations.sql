-- Applied to the database that STIGMERGY_CLICKHOUSE_URL names; all other files make one generation, a database of its own.
-- A rebuild fills the next generation beside the one in use and then adds a row here: that is the switch. The greatest
-- number counts. `frozen`: it stays where it is, because it was rebuilt up to a position.
CREATE TABLE IF NOT EXISTS $database.generations $on_cluster
(
    number UInt32,
    database String,
    frozen Bool,
    at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ${once}ReplacingMergeTree($place at)
ORDER BY number
SETTINGS $window;
