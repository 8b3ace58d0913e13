//! CH-1 and CH-2 for a pool of three nodes on PostgreSQL and Kafka, with two ingest processes: nodes are killed and stopped in their tracks under load,
//! PostgreSQL fails, the database is restored. Clients see every room in its order, and the archive has everything once.

mod database;
mod nodes;
mod pool;
mod writers;
