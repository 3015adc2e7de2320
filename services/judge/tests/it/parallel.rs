//! The verdict does not depend on the number of parallel tests or on restarts.

use std::time::Duration;

use judge::Config;
use proto::judge::{JudgementState, Verdict};

use crate::world::{Problem, World};

/// Fails slowly on one test and quickly on the next, so that with two slots the later failure is found first.
const RACY: &str = "#include <bits/stdc++.h>\nint main(){int n;std::cin>>n;volatile unsigned x=0;\
    if(n==2){for(unsigned i=0;i<200000000u;i++)x=x+1;std::cout<<0;}\
    else if(n==3){return 5;}\
    else if(n==4){for(;;)x=x+1;}\
    else std::cout<<n;}";

fn problem() -> Problem<'static> {
    Problem {
        time: Duration::from_secs(3),
        tests: vec![
            ("0", "0", true),
            ("1", "1", false),
            ("2", "2", false),
            ("3", "3", false),
            ("4", "4", false),
            ("5", "5", false),
        ],
        ..Problem::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verdict_is_independent_of_the_number_of_slots() {
    let mut seen = Vec::new();
    for slots in [1, 2, 4] {
        let world = World::judging(Config { slots, ..Config::default() }).await;
        let id = world.problem(&problem());
        let judgement = world.judge(&id, "cpp20", RACY).await;
        let tests: Vec<_> = judgement.tests.iter().map(|t| (t.index, t.verdict())).collect();
        seen.push((judgement.verdict(), tests));
    }
    let accepted = |index| (index, Verdict::Accepted);
    let tests = vec![accepted(0), accepted(1), (2, Verdict::WrongAnswer)];
    for one in seen {
        assert_eq!(one, (Verdict::WrongAnswer, tests.clone()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_while_judging_loses_and_duplicates_nothing() {
    let mut world = World::judging(Config::default()).await;
    let id = world.problem(&problem());
    let right = "#include <iostream>\nint main(){int n;std::cin>>n;std::cout<<n;}";
    let mut submissions = Vec::new();
    for number in 0..12 {
        let wrong = number % 3 == 0;
        let source = match wrong {
            true => format!("{right}\n// {number}").replace("<<n", "<<n/4"),
            false => format!("{right}\n// {number}"),
        };
        let verdict = if wrong { Verdict::WrongAnswer } else { Verdict::Accepted };
        submissions.push((world.submit(&id, "cpp20", &source).await, verdict));
    }
    db::testing::eventually("judging has started", || async {
        let judgement = world.submission(submissions[0].0).await;
        judgement.is_ok_and(|judgement| judgement.state() != JudgementState::Queued)
    })
    .await;
    world.restart().await;
    for (submission, verdict) in &submissions {
        assert_eq!(world.verdict(*submission).await.verdict(), *verdict);
    }
    let mut judged: Vec<_> = world.published().await.into_iter().map(|e| e.submission_id).collect();
    judged.sort();
    judged.dedup();
    assert_eq!((judged.len(), world.published().await.len()), (12, 12));
}
