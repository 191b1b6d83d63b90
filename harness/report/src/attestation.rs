//! Signed evidence: what the records of a directory say, as an in-toto Statement in a DSSE envelope with an ed25519 signature.
//!
//! - `key`: keys as `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout` write them
//! - `envelope`: what exactly is signed, and one line of the file of signatures
//! - `statement`: what is said about which files
//! - `bundle`: the file of signatures of a directory, and whether they hold for what is there

mod bundle;
mod envelope;
mod key;
mod statement;

pub use bundle::{Checked, Found, Held, Wrong, add, check, short};
pub use key::{KeyError, PrivateKey, PublicKey};
pub use statement::{Drill, Outcome, statement};

/// The name of the file of a chain, which is the first subject of a statement.
pub const CHAIN: &str = "chain.txt";

/// The name of the file of signatures, by in-toto's rule for what is said about a file: an envelope in each line.
pub const BUNDLE: &str = "chain.txt.intoto.jsonl";
