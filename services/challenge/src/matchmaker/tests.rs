//! The matchmaker over time, with random players.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn time(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

fn ticket(id: u128, user: u128, rating: i64, second: i64) -> Ticket {
    Ticket {
        id: Uuid::from_u128(id),
        user_id: Uuid::from_u128(user),
        user_name: String::new(),
        mode: Mode::FirstToSolve,
        rating,
        state: State::Open,
        created_at: time(second),
        duel_id: None,
        explanation: None,
    }
}

fn users(pair: &Match) -> (Uuid, Uuid) {
    unordered(pair.tickets[0].user_id, pair.tickets[1].user_id)
}

#[test]
fn the_range_widens_with_the_wait() {
    assert_eq!([0, 1, 90, 1000].map(range), [50, 55, 500, 500]);
    let tickets = [ticket(1, 1, 1500, 0), ticket(2, 2, 1600, 0)];
    let none = HashSet::new();
    assert!(pairs(&tickets, &none, time(9), 0).is_empty());
    let made = pairs(&tickets, &none, time(10), 0);
    assert_eq!(made[0].explanation.ranges, [100, 100]);
    assert_eq!(made[0].explanation.waits, [10, 10]);
    // Both ranges count.
    let later = [ticket(1, 1, 1500, 0), ticket(2, 2, 1600, 8)];
    assert!(pairs(&later, &none, time(10), 0).is_empty());
}

#[test]
fn modes_and_users_are_not_mixed() {
    let other = Ticket { mode: Mode::Lockout, ..ticket(2, 2, 1500, 0) };
    let same = ticket(3, 1, 1500, 0);
    assert!(pairs(&[ticket(1, 1, 1500, 0), other, same], &HashSet::new(), time(0), 0).is_empty());
}

#[test]
fn small_differences_come_first_and_long_waits_before_them() {
    let tickets = [ticket(1, 1, 1500, 90), ticket(2, 2, 1540, 90), ticket(3, 3, 1530, 90)];
    let made = pairs(&tickets, &HashSet::new(), time(90), 0);
    assert_eq!(
        made.iter().map(users).collect::<Vec<_>>(),
        [(Uuid::from_u128(2), Uuid::from_u128(3))]
    );
    let waited = [ticket(1, 1, 1500, 0), ticket(2, 2, 1540, 90), ticket(3, 3, 1530, 90)];
    let made = pairs(&waited, &HashSet::new(), time(90), 0);
    assert_eq!(users(&made[0]), (Uuid::from_u128(1), Uuid::from_u128(3)));
    assert_eq!(made[0].tickets[0].id, Uuid::from_u128(1));
}

#[derive(Debug, PartialEq)]
struct Run {
    /// Second and users of each match.
    matches: Vec<(i64, (Uuid, Uuid))>,
    left: Vec<Ticket>,
}

/// Players arrive over a minute, look for duels, and again 30 seconds after the start of each, for 20 minutes.
fn run(ratings: &[i64], seed: u64) -> Run {
    let mut next_id = 0;
    let mut open: Vec<Ticket> = Vec::new();
    let mut arrivals: HashMap<i64, Vec<usize>> = HashMap::new();
    for user in 0..ratings.len() {
        let second = i64::try_from(mix(seed ^ user as u64) % 60).unwrap();
        arrivals.entry(second).or_default().push(user);
    }
    let mut matches: Vec<(i64, (Uuid, Uuid))> = Vec::new();
    let mut last: HashMap<(Uuid, Uuid), i64> = HashMap::new();
    for second in 0..1200 {
        for user in arrivals.remove(&second).unwrap_or_default() {
            next_id += 1;
            open.push(ticket(next_id, user as u128, ratings[user], second));
        }
        let pause = PAIR_PAUSE.num_seconds();
        let excluded = last.iter().filter(|(_, at)| second - **at < pause).map(|(pair, _)| *pair);
        let made = pairs(&open, &excluded.collect(), time(second), seed);
        for pair in made {
            for found in &pair.tickets {
                open.retain(|ticket| ticket.id != found.id);
                let user = usize::try_from(found.user_id.as_u128()).unwrap();
                arrivals.entry(second + 30).or_default().push(user);
            }
            last.insert(users(&pair), second);
            matches.push((second, users(&pair)));
        }
    }
    Run { matches, left: open }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn no_pair_repeats_within_the_pause_and_a_replay_is_equal(
        ratings in prop::collection::vec(0_i64..4000, 2..40),
        seed: u64,
    ) {
        let first = run(&ratings, seed);
        let mut last = HashMap::new();
        for (second, pair) in &first.matches {
            if let Some(before) = last.insert(*pair, *second) {
                prop_assert!(second - before >= PAIR_PAUSE.num_seconds());
            }
        }
        prop_assert_eq!(run(&ratings, seed), first);
    }
}

#[test]
fn of_2000_tickets_every_one_with_a_possible_partner_is_matched() {
    let spread = |n: u64| (0..8).map(|part| i64::try_from(mix(n * 8 + part) % 500).unwrap()).sum();
    let mut open: Vec<Ticket> = (0..2000)
        .map(|n| ticket(n, n, spread(u64::try_from(n).unwrap()), i64::try_from(n % 90).unwrap()))
        .collect();
    let none = HashSet::new();
    for second in 0..300 {
        let arrived = open.iter().filter(|it| it.created_at <= time(second)).cloned();
        let made = pairs(&arrived.collect::<Vec<_>>(), &none, time(second), 7);
        let matched: HashSet<Uuid> =
            made.iter().flat_map(|it| it.tickets.iter().map(|ticket| ticket.id)).collect();
        for pair in &made {
            let difference = (pair.tickets[0].rating - pair.tickets[1].rating).abs();
            assert!(pair.explanation.ranges.iter().all(|range| difference <= *range));
        }
        open.retain(|ticket| !matched.contains(&ticket.id));
        // After 110 s of waiting no partner within 500 points is left.
        for (index, long) in open.iter().enumerate().filter(|_| second % 60 == 0) {
            let partner = open[index + 1..].iter().find(|it| {
                (it.rating - long.rating).abs() <= 500
                    && it.wait(time(second)) > 110
                    && long.wait(time(second)) > 110
            });
            assert!(partner.is_none(), "{long:?} and {partner:?}");
        }
    }
    assert!(open.len() <= 4, "{}", open.len());
}
