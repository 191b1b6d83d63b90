//! Where the segments of the WAL come from: whoever has them gives them.

use std::io;

/// Where segments come from.
pub trait Segments {
    /// Bytes per segment.
    fn segment_size(&self) -> u32;

    /// Replaces the content of `into` by the whole segment `number` of `timeline`. `into` is the same buffer at each
    /// call, so that a long walk does not ask for memory again and again.
    ///
    /// # Errors
    ///
    /// A segment that is there but cannot be read: then nothing is known about the WAL.
    fn read(&mut self, timeline: u32, number: u64, into: &mut Vec<u8>) -> io::Result<Found>;

    /// Replaces the content of `into` by what follows of a segment that was only begun ([`Found::Begun`]), and by nothing
    /// where nothing follows.
    ///
    /// # Errors
    ///
    /// What follows cannot be read.
    fn more(&mut self, into: &mut Vec<u8>) -> io::Result<()> {
        into.clear();
        Ok(())
    }
}

/// Whether a segment was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is in the buffer.
    Whole,
    /// Its beginning is in the buffer, whole pages; [`Segments::more`] gives the rest. What was just read is then still in
    /// the processor's cache when it is looked at.
    Begun {
        /// Its size.
        bytes: u64,
    },
    /// It is there, but has the size of no segment, and was not read.
    OddSize {
        /// Its size.
        bytes: u64,
    },
    /// It is not there.
    Missing {
        /// The name of a file that stands for it, and which is not read.
        instead: Option<String>,
    },
    /// It is there packed, and cannot be unpacked: not for want of a program or of rights, but because of its content.
    Corrupt {
        /// What is wrong with it.
        what: String,
    },
}

impl<S: Segments + ?Sized> Segments for &mut S {
    fn segment_size(&self) -> u32 {
        (**self).segment_size()
    }

    fn read(&mut self, timeline: u32, number: u64, into: &mut Vec<u8>) -> io::Result<Found> {
        (**self).read(timeline, number, into)
    }

    fn more(&mut self, into: &mut Vec<u8>) -> io::Result<()> {
        (**self).more(into)
    }
}
