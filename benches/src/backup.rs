//! A base backup made out of nothing, in every form: what `verify` and `restore` read.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use pgdrill_backup::verify::NEEDED;
use tar::{EntryType, Header};

use crate::manifest;
use crate::relation;

/// Bytes per relation file.
const RELATION: usize = 16 << 20;

/// The directory of its database.
const DATABASE: &str = "base/5";

const LABEL: &str = "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nCHECKPOINT LOCATION: 0/2000060\n\
                     BACKUP METHOD: streamed\nBACKUP FROM: primary\nSTART TIME: 2026-01-01 00:00:00 UTC\nLABEL: bench\n\
                     START TIMELINE: 1\n";

/// The control file of a cluster with page checksums.
const CONTROL: &[u8] = include_bytes!("../../fixtures/ondisk/pg_control-15");

/// In which form a backup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Files.
    Plain,
    /// `base.tar`
    Tar,
    /// `base.tar.gz`, at level 6 as `pg_basebackup -z`.
    Gzip,
    /// `base.tar.lz4`
    Lz4,
    /// `base.tar.zst`, at level 3.
    Zstd,
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Plain, Self::Tar, Self::Gzip, Self::Lz4, Self::Zstd];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tar => "tar",
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// One backup in every form, below a directory that goes away with it.
#[derive(Debug)]
pub struct Backups {
    directory: PathBuf,
    /// Bytes of its files.
    pub bytes: u64,
}

impl Backups {
    /// Makes a backup with this many relation files of 16 MB.
    ///
    /// # Errors
    ///
    /// What writing gives.
    pub fn make(relations: u64) -> io::Result<Self> {
        let directory = std::env::temp_dir().join(format!("pgdrill-bench-backup-{}", std::process::id()));
        let mut made = Self { directory, bytes: 0 };
        let mut files = vec![
            ("backup_label".to_owned(), LABEL.as_bytes().to_vec()),
            ("PG_VERSION".to_owned(), b"15\n".to_vec()),
            (format!("{DATABASE}/PG_VERSION"), b"15\n".to_vec()),
        ];
        for relation in 0..relations {
            let pages = relation::pages(RELATION / relation::PAGE, relation);
            files.push((format!("{DATABASE}/{}", 16_384 + relation), pages));
        }
        files.push(("global/pg_control".to_owned(), CONTROL.to_vec()));
        made.bytes = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        let manifest = manifest::text(files.iter().map(|(path, bytes)| manifest::File {
            path: path.clone(),
            size: bytes.len() as u64,
            sha256: manifest::sha256(bytes),
        }));
        let tar = tar(&files)?;
        for form in Form::ALL {
            let directory = made.path(form);
            DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
            fs::write(directory.join("backup_manifest"), &manifest)?;
            write(&directory, form, &files, &tar)?;
        }
        Ok(made)
    }

    /// Where it is in this form.
    pub fn path(&self, form: Form) -> PathBuf {
        self.directory.join(form.name())
    }

    /// A directory for what is restored, which is not there.
    pub fn target(&self) -> PathBuf {
        self.directory.join("restored")
    }
}

impl Drop for Backups {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn tar(files: &[(String, Vec<u8>)]) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut member = |path: &str, kind: EntryType, mode: u32, bytes: &[u8]| {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, path, bytes)
    };
    for path in NEEDED.into_iter().chain([DATABASE]) {
        member(path, EntryType::Directory, 0o700, &[])?;
    }
    for (path, bytes) in files {
        member(path, EntryType::Regular, 0o600, bytes)?;
    }
    tar.into_inner()
}

fn write(directory: &Path, form: Form, files: &[(String, Vec<u8>)], tar: &[u8]) -> io::Result<()> {
    let create = |name: &str| File::create(directory.join(name));
    match form {
        Form::Plain => {
            for path in NEEDED.into_iter().chain([DATABASE]) {
                DirBuilder::new().recursive(true).mode(0o700).create(directory.join(path))?;
            }
            files.iter().try_for_each(|(path, bytes)| fs::write(directory.join(path), bytes))
        }
        Form::Tar => create("base.tar")?.write_all(tar),
        Form::Gzip => {
            let mut packed = GzEncoder::new(create("base.tar.gz")?, Compression::new(6));
            packed.write_all(tar)?;
            packed.finish().map(drop)
        }
        Form::Lz4 => {
            let mut packed = lz4::EncoderBuilder::new().build(create("base.tar.lz4")?)?;
            packed.write_all(tar)?;
            packed.finish().1
        }
        Form::Zstd => {
            let mut packed = zstd::Encoder::new(create("base.tar.zst")?, 3)?;
            packed.write_all(tar)?;
            packed.finish().map(drop)
        }
    }
}
