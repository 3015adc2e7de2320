//! Worked examples. Participants are numbered from 1 in the order of the standings.

use super::*;
use crate::format::Score;

/// One line for each rank (0 = without a rank) and number of solved problems.
fn lines(rows: &[(u32, i64)]) -> Vec<Line> {
    let line = |(number, &(rank, points)): (u128, &(u32, i64))| Line {
        participant: Uuid::from_u128(number),
        standing: if rank > 0 { Standing::Ranked } else { Standing::Unofficial },
        rank: Some(rank).filter(|rank| *rank > 0),
        score: Score { points, ..Score::default() },
    };
    (1..).zip(rows).map(line).collect()
}

/// Distinct ranks from 1.
fn ranked(solved: &[i64]) -> Vec<(u32, i64)> {
    (1..).zip(solved.iter().copied()).collect()
}

/// One letter for each line: gold, silver, bronze, ranked, honorable, or `-` without a rank.
#[track_caller]
fn check(rows: &[(u32, i64)], extra_bronze: u32, expected: &str) {
    let letter = |honour: Option<Honour>| match honour {
        Some(Honour::Medal(Medal::Gold)) => 'g',
        Some(Honour::Medal(Medal::Silver)) => 's',
        Some(Honour::Medal(Medal::Bronze)) => 'b',
        Some(Honour::Ranked) => 'r',
        Some(Honour::Honorable) => 'h',
        None => '-',
    };
    let honours: String = honours(&lines(rows), extra_bronze).into_iter().map(letter).collect();
    assert_eq!(honours, expected);
}

#[test]
fn four_gold_four_silver_and_four_bronze_medals() {
    check(&ranked(&[3; 14]), 0, "ggggssssbbbbrr");
    check(&ranked(&[3; 14]), 1, "ggggssssbbbbbr");
    check(&ranked(&[3; 14]), 100, "ggggssssbbbbbb");
    check(&ranked(&[5, 4]), 0, "gg");
    check(&[], 0, "");
}

#[test]
fn equal_ranks_get_the_better_medal() {
    check(&[(1, 5), (2, 4), (2, 4), (4, 3), (4, 3), (4, 3), (7, 3)], 0, "ggggggs");
    check(&[(8, 5), (8, 5), (10, 4)], 0, "ssb");
    check(&[(12, 5), (12, 5), (14, 5)], 0, "bbr");
}

#[test]
fn participants_without_a_solved_problem_get_no_medal() {
    check(&[(1, 1), (2, 0), (2, 0)], 0, "ghh");
    check(&[(1, 0), (1, 0)], 0, "hh");
}

#[test]
fn others_are_ranked_from_the_median_on() {
    let twelve = [9; 12];
    let with = |rest: &[i64]| ranked(&[&twelve[..], rest].concat());
    // The median of 25 is the 13th, that of 26 the mean of the 13th and the 14th.
    let tail = |median: i64, count: usize| {
        let mut rest = vec![median];
        rest.resize(count, 1);
        with(&rest)
    };
    check(&tail(5, 13), 0, &format!("ggggssssbbbbr{}", "h".repeat(12)));
    check(&with(&[5, 4, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]), 0, "ggggssssbbbbrhhhhhhhhhhhhh");
    check(&with(&[4, 4, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]), 0, "ggggssssbbbbrrrhhhhhhhhhhh");
}

#[test]
fn participants_without_a_rank_get_nothing_and_do_not_move_the_median() {
    check(&[(0, 9), (1, 5), (0, 4), (2, 3)], 0, "-g-g");
}

#[test]
fn awards_are_in_order() {
    let rows = lines(&ranked(&[9, 8, 8, 8, 7, 7, 7, 7, 6, 6, 6, 6, 6, 1]));
    let firsts = [("A".to_owned(), Uuid::from_u128(14)), ("C".to_owned(), Uuid::from_u128(2))];
    let awards = awards(&rows, &firsts, 0);
    let shown: Vec<String> = awards
        .iter()
        .map(|award| format!("{} {}", award.kind.id(), award.participant.as_u128()))
        .collect();
    let expected = [
        "winner 1",
        "gold-medal 1",
        "gold-medal 2",
        "gold-medal 3",
        "gold-medal 4",
        "silver-medal 5",
        "silver-medal 6",
        "silver-medal 7",
        "silver-medal 8",
        "bronze-medal 9",
        "bronze-medal 10",
        "bronze-medal 11",
        "bronze-medal 12",
        "first-to-solve-A 14",
        "first-to-solve-C 2",
    ];
    assert_eq!(shown, expected);
    // The 13th solved fewer than the median, 7.
    let rows = lines(&ranked(&[7; 13]));
    let last = awards_of(&rows).pop().unwrap();
    assert_eq!((last.kind, last.participant), (Kind::Honors, Uuid::from_u128(13)));
}

#[test]
fn equal_winners_all_win() {
    let rows = lines(&[(1, 3), (1, 3), (3, 2)]);
    let winners = awards_of(&rows).into_iter().filter(|it| it.kind == Kind::Winner).count();
    assert_eq!(winners, 2);
    assert!(awards_of(&lines(&[(1, 0), (1, 0)])).is_empty());
}

fn awards_of(rows: &[Line]) -> Vec<Award> {
    awards(rows, &[], 0)
}
