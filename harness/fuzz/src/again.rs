//! Reading is a function of the bytes: what was read once is read again.

use std::fmt::Debug;

/// Reads twice, and gives what was read.
pub fn again<T: PartialEq + Debug>(read: impl Fn() -> T) -> T {
    let first = read();
    assert_eq!(first, read(), "the second reading gives something else");
    first
}
