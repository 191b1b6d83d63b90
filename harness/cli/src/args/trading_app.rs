//! The command line of `pgdrill trading-app`.

use std::net::SocketAddr;

use clap::Subcommand;
use pgdrill_trading_app::parse_api;

#[derive(Debug, Subcommand)]
pub enum TradingApp {
    /// The API, on the database that PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE name
    Api,
    /// The web, on an API
    Web {
        /// Where the API listens, as in http://127.0.0.1:8080
        #[arg(long, value_name = "URL", value_parser = parse_api)]
        api: SocketAddr,
    },
}
