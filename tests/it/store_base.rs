//! The ground of the store on a real server: sessions, the state schema, the catalog, claims.

#[path = "store_base/catalog.rs"]
mod catalog;
#[path = "store_base/claims.rs"]
mod claims;
#[path = "store_base/database.rs"]
mod database;
#[path = "store_base/grants.rs"]
mod grants;
#[path = "store_base/migrations.rs"]
mod migrations;
#[path = "store_base/pools.rs"]
mod pools;
