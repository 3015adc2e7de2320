//! The standings of a contest with 100,000 participants, 15 problems and 300,000 judged submissions.
//!
//! Prints the memory of each participant and the percentiles of a verdict with a page, then the medians of criterion.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use challenge::format::{Icpc, Settings};
use challenge::standings::{Board, Entry, Rules, View};
use criterion::{Criterion, criterion_group, criterion_main};
use proto::Verdict;
use uuid::Uuid;

const PARTICIPANTS: u64 = 100_000;
const PROBLEMS: u64 = 15;
const SUBMISSIONS: u64 = 300_000;
const MINUTE_US: u64 = 60_000_000;
const PAGE: usize = 100;

/// Counts the bytes in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator is unsafe; this one only counts")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the pointer is from `alloc`, which is that of `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// SplitMix64, so that every run measures the same contest.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn verdict(&mut self) -> Verdict {
        let verdicts = [Verdict::Accepted, Verdict::WrongAnswer, Verdict::TimeLimitExceeded];
        verdicts[usize::try_from(self.below(3)).unwrap_or(0)]
    }

    fn judged(&mut self) -> Entry {
        Entry::Judged { submission: submission(self.below(SUBMISSIONS)), verdict: self.verdict() }
    }
}

fn participant(number: u64) -> Uuid {
    Uuid::from_u64_pair(1, number)
}

fn problem(number: u64) -> Uuid {
    Uuid::from_u64_pair(2, number)
}

fn submission(number: u64) -> Uuid {
    Uuid::from_u64_pair(3, number)
}

fn rules() -> Rules {
    Rules {
        format: Settings::Icpc(Icpc::default()),
        freeze_us: i64::try_from(240 * MINUTE_US).ok(),
        problems: (0..PROBLEMS).map(problem).collect(),
    }
}

/// Submissions in order of time over 300 minutes, each judged 100 submissions later.
fn log() -> Vec<Entry> {
    let mut random = Random(1);
    let added = |number| Entry::ParticipantAdded {
        participant: participant(number),
        hidden: false,
        unofficial: false,
    };
    let mut log: Vec<Entry> = (0..PARTICIPANTS).map(added).collect();
    for number in 0..SUBMISSIONS + 100 {
        if number < SUBMISSIONS {
            let at_us = number * (300 * MINUTE_US / SUBMISSIONS);
            log.push(Entry::Attempt {
                submission: submission(number),
                participant: participant(random.below(PARTICIPANTS)),
                // The first problems are attempted more often.
                problem: problem(random.below(PROBLEMS).min(random.below(PROBLEMS))),
                at_us: i64::try_from(at_us).unwrap_or(i64::MAX),
            });
        }
        if let Some(judged) = number.checked_sub(100) {
            log.push(Entry::Judged { submission: submission(judged), verdict: random.verdict() });
        }
    }
    log
}

/// Applies a verdict, then reads a page from a random participant on.
fn verdict_and_page(board: &mut Board, random: &mut Random, view: View) {
    let start = board.row(view, participant(random.below(PARTICIPANTS)));
    let cursor = start.map(|row| row.cursor());
    board.apply(random.judged());
    black_box(board.page(view, cursor.as_ref(), PAGE));
}

fn percentiles(board: &mut Board, random: &mut Random) {
    for view in [View::Jury, View::Public] {
        let mut times: Vec<Duration> = (0..20_000)
            .map(|_| {
                let start = Instant::now();
                verdict_and_page(board, random, view);
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        let at = |per_mille: usize| times[times.len() * per_mille / 1000];
        let (p50, p99, p999) = (at(500), at(990), at(999));
        println!("{view:?}: verdict and page of {PAGE}: p50 {p50:?}, p99 {p99:?}, p99.9 {p999:?}");
    }
}

fn standings(criterion: &mut Criterion) {
    let log = log();
    let before = IN_USE.load(Ordering::Relaxed);
    let mut board = Board::load(rules(), log.iter().cloned());
    let bytes = IN_USE.load(Ordering::Relaxed) - before;
    println!("memory: {} bytes a participant", bytes / PARTICIPANTS as usize);
    let mut random = Random(2);
    percentiles(&mut board, &mut random);

    let mut group = criterion.benchmark_group("standings of 100,000");
    group.bench_function("verdict", |b| b.iter(|| board.apply(random.judged())));
    group.bench_function("page of 100", |b| b.iter(|| board.page(View::Public, None, PAGE)));
    group.bench_function("verdict and page of 100", |b| {
        b.iter(|| verdict_and_page(&mut board, &mut random, View::Public));
    });
    group.sample_size(10);
    group.bench_function("load", |b| b.iter(|| Board::load(rules(), log.iter().cloned())));
    group.bench_function("interval removed and restored", |b| {
        let (from_us, to_us) = (1, 600_000_000);
        let id = Uuid::from_u64_pair(4, 0);
        b.iter(|| {
            board.apply(Entry::IntervalRemoved { id, from_us, to_us });
            board.apply(Entry::IntervalRestored { id })
        });
    });
    group.finish();
}

criterion_group!(benches, standings);
criterion_main!(benches);
