//! What the new verdicts of a rejudging would change in the standings.

use std::collections::HashMap;

use proto::challenge as pb;
use uuid::Uuid;

use crate::Challenge;
use crate::boards;
use crate::contest::Contest;
use crate::contests::standings::shown;
use crate::error::Error;
use crate::standings::{Board, Row, View};
use crate::store;

/// How many changed rows are returned.
const MAX_ROWS: usize = 200;

impl Challenge {
    /// The first changed rows, and the number of all.
    pub(super) async fn preview(
        &self,
        contest: &Contest,
        rejudging: Uuid,
    ) -> Result<(Vec<pb::StandingsChange>, i32), Error> {
        let verdicts = store::rejudgings::changed(&self.db, rejudging).await?;
        if verdicts.is_empty() {
            return Ok(Default::default());
        }
        // The board that requests share must not get verdicts that do not count.
        let mut board = boards::fresh(&self.db, contest.id).await?;
        let before = rows(&board);
        for (submission, verdict) in verdicts {
            board.apply(boards::judged_entry(submission, verdict));
        }
        let after = board.page(View::Jury, None, usize::MAX);
        let changed: Vec<(&Row, Row)> = after
            .into_iter()
            .filter_map(|row| before.get(&row.participant).map(|before| (before, row)))
            .filter(|(before, after)| differs(before, after))
            .collect();
        let count = i32::try_from(changed.len()).unwrap_or(i32::MAX);
        let first = &changed[..changed.len().min(MAX_ROWS)];
        let ids = first.iter().map(|(_, row)| row.participant).collect();
        let participants = store::participants::by_ids(&self.db, ids).await?;
        let participants: HashMap<Uuid, _> =
            participants.into_iter().map(|it| (it.id, it)).collect();
        let firsts = HashMap::new();
        let message =
            |row: &Row| Some(shown(row, contest, participants.get(&row.participant), &firsts));
        let changes = first.iter().map(|(before, after)| pb::StandingsChange {
            before: message(before),
            after: message(after),
        });
        Ok((changes.collect(), count))
    }
}

fn rows(board: &Board) -> HashMap<Uuid, Row> {
    let rows = board.page(View::Jury, None, usize::MAX).into_iter();
    rows.map(|row| (row.participant, row)).collect()
}

fn differs(before: &Row, after: &Row) -> bool {
    before.rank != after.rank || before.score != after.score || before.cells != after.cells
}
