//! Faults of a backup as it is stored, one file each, and the table of them.

use pgdrill_model::fault::Fault;

use super::stored::{Done, Stored, not_here};

mod auto_conf_edited;
mod backup_label_missing;
mod backup_wal_bit_flip;
mod commit_log_bit_flip;
mod compression_wrong;
mod control_bit_flip;
mod directory_missing;
mod dump_bit_flip;
mod dump_truncated;
mod dumps;
mod file_extra;
mod file_missing;
mod file_truncated;
mod file_unreadable;
mod filenode_map_bit_flip;
mod files_swapped;
mod heap_bit_flip;
mod heap_page_zeroed;
mod index_bit_flip;
mod manifest_rewritten;
mod old_backup_as_new;
mod own_wal;
mod own_wal_missing;
mod own_wal_tail;
mod relations;
mod signal_files_added;
mod tablespace_missing;
mod tar_cut;
mod version_of_another;

/// Makes one; says what was done.
pub(super) fn run(fault: Fault, stored: &mut Stored) -> Done {
    match fault {
        Fault::HeapBitFlip => heap_bit_flip::run(stored),
        Fault::IndexBitFlip => index_bit_flip::run(stored),
        Fault::CommitLogBitFlip => commit_log_bit_flip::run(stored),
        Fault::ControlBitFlip => control_bit_flip::run(stored),
        Fault::FilenodeMapBitFlip => filenode_map_bit_flip::run(stored),
        Fault::BackupWalBitFlip => backup_wal_bit_flip::run(stored),
        Fault::HeapPageZeroed => heap_page_zeroed::run(stored),
        Fault::FileTruncated => file_truncated::run(stored),
        Fault::FileMissing => file_missing::run(stored),
        Fault::FileExtra => file_extra::run(stored),
        Fault::FilesSwapped => files_swapped::run(stored),
        Fault::FileUnreadable => file_unreadable::run(stored),
        Fault::OldBackupAsNew => old_backup_as_new::run(stored),
        Fault::ManifestRewritten => manifest_rewritten::run(stored),
        Fault::BackupLabelMissing => backup_label_missing::run(stored),
        Fault::VersionOfAnother => version_of_another::run(stored),
        Fault::DirectoryMissing => directory_missing::run(stored),
        Fault::OwnWalMissing => own_wal_missing::run(stored),
        Fault::TablespaceMissing => tablespace_missing::run(stored),
        Fault::TarCut => tar_cut::run(stored),
        Fault::CompressionWrong => compression_wrong::run(stored),
        Fault::DumpBitFlip => dump_bit_flip::run(stored),
        Fault::DumpTruncated => dump_truncated::run(stored),
        Fault::AutoConfEdited => auto_conf_edited::run(stored),
        Fault::SignalFilesAdded => signal_files_added::run(stored),
        Fault::OwnWalTail => own_wal_tail::run(stored),
        _ => not_here("it is no fault of a stored backup"),
    }
}
