//! Bytes of many files, and what is done with them.
//!
//! Files of a directory can be read side by side: then who reads one does all of it, and the bytes never leave a processor's
//! cache. An archive is read by one thread, which has enough to do with unpacking it. Its bytes are on their way from there
//! to the threads that work on them, and what is done with one file may be split: its checksum is computed on one thread
//! while its pages are verified on another. What is read is not copied, and there is a fixed number of buffers, so that
//! memory does not depend on how much there is.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};

/// Bytes of a buffer: a multiple of every size that a data page can have, and small enough for a processor's cache.
pub const BUFFER: usize = 256 << 10;

/// Buffers in all.
const BUFFERS: usize = 48;

/// What is done with the bytes of one file.
pub trait Work: Send {
    /// What a byte costs, compared with others: by it work is spread over the threads.
    fn cost(&self) -> u64;

    /// Takes the next bytes. All but the last of a file are as many as a buffer holds.
    fn take(&mut self, bytes: &[u8]);

    /// The file is at its end, whole or not: who read it knows.
    fn end(self: Box<Self>);
}

/// Who works on files.
pub enum Hands {
    /// Threads of their own.
    Lanes(Lanes),
    /// Whoever reads a file.
    Readers,
}

impl Hands {
    /// Reads a file of `size` bytes up to its end, and has done with it all that is to be done. Gives how many bytes there
    /// were.
    ///
    /// # Errors
    ///
    /// What reading gives. What had been read before is worked on.
    pub fn pour(&self, size: u64, work: Vec<Box<dyn Work>>, from: impl Read) -> io::Result<u64> {
        match self {
            Self::Lanes(lanes) => lanes.begin(size, work).pour(from),
            Self::Readers => at_once(work, from),
        }
    }
}

fn at_once(mut work: Vec<Box<dyn Work>>, mut from: impl Read) -> io::Result<u64> {
    thread_local! {
        /// One for all files that a thread reads.
        static BYTES: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
    }
    let read = BYTES.with_borrow_mut(|bytes| {
        let mut all = 0;
        loop {
            let (length, read) = fill(&mut from, bytes);
            all += length as u64;
            if length > 0 {
                work.iter_mut().for_each(|work| work.take(&bytes[..length]));
            }
            read?;
            if length < bytes.len() {
                return Ok(all);
            }
        }
    });
    work.into_iter().for_each(Work::end);
    read
}

/// A buffer that several threads read, and that goes back to where it came from when all have.
struct Piece {
    bytes: Vec<u8>,
    /// How many of them were read.
    length: usize,
    home: Sender<Vec<u8>>,
}

impl Drop for Piece {
    fn drop(&mut self) {
        // Nobody wants it any more when everything has been read.
        _ = self.home.send(std::mem::take(&mut self.bytes));
    }
}

enum Message {
    Begin(u64, Box<dyn Work>),
    Bytes(u64, Arc<Piece>),
    End(u64),
}

/// One working thread, as those see it who give it work.
struct Lane {
    messages: SyncSender<Message>,
    /// The cost of what it was given.
    given: AtomicU64,
}

/// The working threads.
pub struct Lanes {
    lanes: Vec<Lane>,
    next: AtomicU64,
    /// Buffers that are free, and where they come back to.
    free: Mutex<Receiver<Vec<u8>>>,
    home: Sender<Vec<u8>>,
}

/// A file that is on its way.
pub struct Flowing<'a> {
    lanes: &'a Lanes,
    id: u64,
    /// On which lanes something is done with it.
    on: Vec<usize>,
}

impl Lanes {
    /// Starts `number` working threads, at least one. They end when the lanes are dropped and all is done.
    pub fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        number: usize,
    ) -> (Self, Vec<ScopedJoinHandle<'scope, ()>>) {
        let (lanes, threads) = (0..number.max(1))
            .map(|_| {
                // No more can wait than there are buffers, and a few beginnings and ends between them.
                let (messages, given) = sync_channel(4 * BUFFERS);
                (Lane { messages, given: AtomicU64::new(0) }, scope.spawn(move || work(&given)))
            })
            .unzip();
        let (home, free) = channel();
        for _ in 0..BUFFERS {
            _ = home.send(vec![0; BUFFER]);
        }
        (Self { lanes, next: AtomicU64::new(0), free: Mutex::new(free), home }, threads)
    }

    /// Begins a file with all that is to be done with its `size` bytes.
    pub fn begin(&self, size: u64, work: Vec<Box<dyn Work>>) -> Flowing<'_> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut on = Vec::with_capacity(work.len());
        for work in work {
            let lane = self.least_busy();
            // Even an empty file costs something. A size is what a tar says, and so can be any number.
            let cost = size.saturating_add(512).saturating_mul(work.cost());
            self.lanes[lane].given.fetch_add(cost, Ordering::Relaxed);
            self.send(lane, Message::Begin(id, work));
            if !on.contains(&lane) {
                on.push(lane);
            }
        }
        Flowing { lanes: self, id, on }
    }

    /// A buffer, as soon as one is free.
    fn buffer(&self) -> Vec<u8> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        // The sender is ours, so the channel is never closed.
        free.recv().unwrap_or_default()
    }

    fn least_busy(&self) -> usize {
        let given = |lane: &usize| self.lanes[*lane].given.load(Ordering::Relaxed);
        (0..self.lanes.len()).min_by_key(given).unwrap_or(0)
    }

    fn send(&self, lane: usize, message: Message) {
        // A lane ends only after its sender is gone, or by a bug that is told when its thread is joined.
        _ = self.lanes[lane].messages.send(message);
    }
}

impl Flowing<'_> {
    /// Reads up to the end of `from`, and sends it on its way. Gives how many bytes there were.
    ///
    /// # Errors
    ///
    /// What reading gives. What had been read before is on its way.
    pub fn pour(&mut self, mut from: impl Read) -> io::Result<u64> {
        let mut all = 0;
        loop {
            let mut bytes = self.lanes.buffer();
            let (length, read) = fill(&mut from, &mut bytes);
            all += length as u64;
            let last = length < bytes.len();
            self.send(bytes, length);
            read?;
            if last {
                return Ok(all);
            }
        }
    }

    fn send(&mut self, bytes: Vec<u8>, length: usize) {
        let piece = Arc::new(Piece { bytes, length, home: self.lanes.home.clone() });
        if length > 0 {
            for lane in &self.on {
                self.lanes.send(*lane, Message::Bytes(self.id, Arc::clone(&piece)));
            }
        }
    }
}

impl Drop for Flowing<'_> {
    fn drop(&mut self) {
        for lane in &self.on {
            self.lanes.send(*lane, Message::End(self.id));
        }
    }
}

/// Fills a buffer, less only at the end or at an error. Gives how many bytes there are.
fn fill(from: &mut impl Read, bytes: &mut [u8]) -> (usize, io::Result<()>) {
    let mut length = 0;
    while length < bytes.len() {
        match from.read(&mut bytes[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (length, Err(error)),
        }
    }
    (length, Ok(()))
}

/// How much less a working thread insists on a processor than one that unpacks, on which all others wait.
const YIELDS: i32 = 5;

fn work(messages: &Receiver<Message>) {
    // To Linux it is a setting of the thread alone. Without it the work is done as well, and later.
    if let Ok(now) = rustix::process::getpriority_process(None) {
        _ = rustix::process::setpriority_process(None, (now + YIELDS).min(19));
    }
    let mut under_way: HashMap<u64, Vec<Box<dyn Work>>> = HashMap::new();
    while let Ok(message) = messages.recv() {
        match message {
            Message::Begin(id, work) => under_way.entry(id).or_default().push(work),
            Message::Bytes(id, piece) => {
                for work in under_way.get_mut(&id).into_iter().flatten() {
                    work.take(&piece.bytes[..piece.length]);
                }
            }
            Message::End(id) => under_way.remove(&id).into_iter().flatten().for_each(Work::end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    struct Count {
        seen: Arc<Mutex<Vec<(u64, bool)>>>,
        number: usize,
    }

    impl Work for Count {
        fn cost(&self) -> u64 {
            2
        }

        fn take(&mut self, bytes: &[u8]) {
            assert!(bytes.iter().all(|byte| *byte == self.number as u8));
            self.seen.lock().unwrap()[self.number].0 += bytes.len() as u64;
        }

        fn end(self: Box<Self>) {
            self.seen.lock().unwrap()[self.number].1 = true;
        }
    }

    #[test]
    fn a_file_may_say_that_it_has_any_size() {
        let seen = Arc::new(Mutex::new(vec![(0, false)]));
        thread::scope(|scope| {
            let (lanes, _) = Lanes::start(scope, 2);
            let work = Box::new(Count { seen: Arc::clone(&seen), number: 0 });
            assert_eq!(lanes.begin(u64::MAX, vec![work]).pour(io::repeat(0).take(10)).unwrap(), 10);
        });
        assert_eq!(*seen.lock().unwrap(), [(10, true)]);
    }

    #[test]
    fn who_reads_a_file_does_all_that_is_done_with_it() {
        let sizes = [0, 1, BUFFER as u64, 3 * BUFFER as u64 + 5];
        let seen = Arc::new(Mutex::new(vec![(0, false); sizes.len()]));
        for (number, size) in sizes.into_iter().enumerate() {
            let work = || Box::new(Count { seen: Arc::clone(&seen), number }) as Box<dyn Work>;
            let from = io::repeat(number as u8).take(size);
            assert_eq!(Hands::Readers.pour(size, vec![work(), work()], from).unwrap(), size);
        }
        let expected: Vec<(u64, bool)> = sizes.into_iter().map(|size| (2 * size, true)).collect();
        assert_eq!(*seen.lock().unwrap(), expected);
    }

    /// One that cannot be read any further is at its end all the same.
    #[test]
    fn what_was_read_before_an_error_is_worked_on() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("no more"))
            }
        }
        let seen = Arc::new(Mutex::new(vec![(0, false)]));
        let work = Box::new(Count { seen: Arc::clone(&seen), number: 0 });
        let from = io::repeat(0).take(BUFFER as u64 + 7).chain(Failing);
        assert!(Hands::Readers.pour(9, vec![work], from).is_err());
        assert_eq!(*seen.lock().unwrap(), [(BUFFER as u64 + 7, true)]);
    }

    #[test]
    fn every_file_comes_whole_to_everything_that_is_done_with_it() {
        let sizes = [0, 1, BUFFER as u64 - 1, BUFFER as u64, 3 * BUFFER as u64 + 5, 100 * BUFFER as u64];
        for lanes in [1, 2, 5] {
            let seen = Arc::new(Mutex::new(vec![(0, false); sizes.len()]));
            thread::scope(|scope| {
                let (lanes, _) = Lanes::start(scope, lanes);
                for (number, size) in sizes.into_iter().enumerate() {
                    let work = || Box::new(Count { seen: Arc::clone(&seen), number }) as Box<dyn Work>;
                    let mut flowing = lanes.begin(size, vec![work(), work()]);
                    let read = flowing.pour(io::repeat(number as u8).take(size)).unwrap();
                    assert_eq!(read, size);
                }
            });
            let expected: Vec<(u64, bool)> = sizes.into_iter().map(|size| (2 * size, true)).collect();
            assert_eq!(*seen.lock().unwrap(), expected, "{lanes} lanes");
        }
    }
}
