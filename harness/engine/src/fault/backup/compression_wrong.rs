//! `compression-wrong`: the archive of the data directory is compressed by another method than its name says.

use pgdrill_backup::members::{packed, replace, unpacked};
use pgdrill_backup::parts::Packed;

use super::super::stored::{Done, Stored, not_here};

pub(super) fn run(stored: &mut Stored) -> Done {
    let base = stored.backup.parts().iter().find(|part| part.stem == "base" && part.packed != Packed::No);
    let Some(part) = base.cloned() else {
        return not_here(format!("{} has no compressed base.tar", stored.name));
    };
    let (other, name) =
        if part.packed == Packed::Zstd { (Packed::Gzip, "gzip") } else { (Packed::Zstd, "zstd") };
    replace(&part.path, &packed(&unpacked(&part)?, other)?)?;
    Ok(format!("{} is compressed by {name}", part.name()))
}
