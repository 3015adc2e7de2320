//! The use cases of awards and results.

use std::collections::HashMap;

use futures_util::stream::{self, StreamExt as _};
use proto::challenge as pb;
use proto::google::api::HttpBody;
use service::Page;
use tonic::Status;
use uuid::Uuid;

use super::standings::firsts;
use super::viewer::Viewer;
use crate::Challenge;
use crate::awards::{self, Award, Honour};
use crate::contest::{Contest, State};
use crate::error::Error;
use crate::peers::Bodies;
use crate::results::{Format, Head, Row};
use crate::standings::{Line, View};
use crate::store;

/// Rows in one message of a download.
const CHUNK: usize = 500;

/// What awards and results are made from.
struct Outcome {
    lines: Vec<Line>,
    /// Label and participant, in the order of the problems.
    firsts: Vec<(String, Uuid)>,
    extra_bronze: u32,
    provisional: bool,
}

impl Challenge {
    pub async fn list_awards(
        &self,
        viewer: &Viewer,
        request: &pb::ListAwardsRequest,
    ) -> Result<pb::ListAwardsResponse, Error> {
        let (contest, view) =
            self.contest_for_standings(viewer, &request.contest_id, request.view).await?;
        let args = [contest.id.as_bytes().as_slice(), &[u8::from(view == View::Jury)]];
        let (size, token) = (request.page_size, &request.page_token);
        // The number of awards before the page.
        let page: Page<'_, u64> = Page::open(&self.page_key, "ListAwards", &args, size, token)?;
        let outcome = self.outcome(&contest, view).await?;
        let awards = awards::awards(&outcome.lines, &outcome.firsts, outcome.extra_bronze);
        let start = page.after.unwrap_or_default();
        let skipped = usize::try_from(start).unwrap_or(usize::MAX);
        let limit = usize::try_from(page.limit()).unwrap_or(usize::MAX);
        let rows: Vec<(u64, Award)> =
            (start + 1..).zip(awards.into_iter().skip(skipped).take(limit)).collect();
        let (rows, next_page_token) = page.close(rows, |(number, _)| *number);
        let names = self.names(rows.iter().map(|(_, award)| award.participant)).await?;
        let awards = rows.into_iter().map(|(_, award)| pb::Award {
            award_id: award.kind.id(),
            citation: award.kind.citation(),
            participant_id: award.participant.to_string(),
            participant_name: names.get(&award.participant).cloned().unwrap_or_default(),
        });
        let (awards, provisional) = (awards.collect(), outcome.provisional);
        Ok(pb::ListAwardsResponse { awards, provisional, next_page_token })
    }

    /// Streams the results. The order is that of one moment.
    pub async fn export_results(
        &self,
        viewer: &Viewer,
        request: &pb::ExportResultsRequest,
    ) -> Result<Bodies, Error> {
        let format = match pb::ResultsFormat::try_from(request.format) {
            Ok(pb::ResultsFormat::Unspecified | pb::ResultsFormat::Tsv) => Format::Tsv,
            Ok(pb::ResultsFormat::Csv) => Format::Csv,
            Ok(pb::ResultsFormat::Json) => Format::Json,
            Ok(pb::ResultsFormat::Html) => Format::Html,
            Err(_) => {
                let text = "must be a value of the enum ResultsFormat";
                return Err(Error::invalid("format", text));
            }
        };
        let (contest, view) =
            self.contest_for_standings(viewer, &request.contest_id, request.view).await?;
        if view == View::Public && self.is_provisional(&contest, view) {
            let text = "the results are not final, or the freeze still hides some";
            return Err(Error::precondition("RESULTS_NOT_FINAL", text));
        }
        let Outcome { lines, firsts, extra_bronze, provisional } =
            self.outcome(&contest, view).await?;
        let names = self.names(firsts.iter().map(|(_, id)| *id)).await?;
        let named = |(label, id): (String, Uuid)| {
            let name = names.get(&id).cloned().unwrap_or_default();
            (label, id, name)
        };
        let firsts = firsts.into_iter().map(named).collect();
        let head = Head { contest_id: contest.id, title: contest.title, provisional, firsts };
        let honours = awards::honours(&lines, extra_bronze);
        let rows = lines.into_iter().zip(honours).collect();
        Ok(self.clone().download(Download { format, head, rows, done: 0 }))
    }

    /// The first message has the content type.
    fn download(self, download: Download) -> Bodies {
        let Download { format, head, .. } = &download;
        let content_type = format.content_type().to_owned();
        let data = format.head(head).into();
        let first = HttpBody { content_type, data, ..HttpBody::default() };
        let tail = format.tail(head).into();
        let last = HttpBody { data: tail, ..HttpBody::default() };
        let rest = stream::try_unfold((self, download), |(this, mut download)| async move {
            let data = this.next_rows(&mut download).await.map_err(Status::from)?;
            let message = |data: String| HttpBody { data: data.into(), ..HttpBody::default() };
            Ok(data.map(|data| (message(data), (this, download))))
        });
        let (first, last) = (stream::iter([Ok(first)]), stream::iter([Ok(last)]));
        first.chain(rest).chain(last).boxed()
    }

    /// The next rows as text; `None` after the last one.
    async fn next_rows(&self, download: &mut Download) -> Result<Option<String>, Error> {
        let Download { format, head, rows, done } = download;
        let chunk: Vec<_> = rows.iter().skip(*done).take(CHUNK).collect();
        if chunk.is_empty() {
            return Ok(None);
        }
        let names = self.names(chunk.iter().map(|(line, _)| line.participant)).await?;
        let mut text = String::new();
        for &(line, honour) in chunk {
            let name = names.get(&line.participant).map(String::as_str).unwrap_or_default();
            let row = Row { line, honour, name };
            text.push_str(&format.row(head, &row, *done == 0));
            *done += 1;
        }
        Ok(Some(text))
    }

    async fn outcome(&self, contest: &Contest, view: View) -> Result<Outcome, Error> {
        let (lines, firsts) = {
            let mut current = self.boards.current(&self.db, contest.id).await?;
            let board = current.board();
            (board.lines(view), firsts(board, view))
        };
        let problems = contest.problems.iter();
        let first = |label: &str, id| firsts.get(&id).map(|first| (label.to_owned(), *first));
        let firsts = problems.filter_map(|it| first(&it.label, it.problem_id)).collect();
        let extra_bronze = store::awards::extra_bronze(&self.db, contest.id).await?;
        let extra_bronze = u32::try_from(extra_bronze).unwrap_or_default();
        let provisional = self.is_provisional(contest, view);
        Ok(Outcome { lines, firsts, extra_bronze, provisional })
    }

    /// Whether the results can still change in a view.
    fn is_provisional(&self, contest: &Contest, view: View) -> bool {
        let now = self.clock.now();
        let frozen = contest.freezes_at.is_some() && contest.thawed_at.is_none();
        contest.state(now) != State::Finalized || (frozen && view == View::Public)
    }

    async fn names(
        &self,
        participants: impl Iterator<Item = Uuid>,
    ) -> Result<HashMap<Uuid, String>, Error> {
        let mut ids: Vec<Uuid> = participants.collect();
        ids.sort_unstable();
        ids.dedup();
        let found = store::participants::by_ids(&self.db, ids).await?;
        Ok(found.into_iter().map(|it| (it.id, it.name)).collect())
    }
}

struct Download {
    format: Format,
    head: Head,
    rows: Vec<(Line, Option<Honour>)>,
    /// The number of rows that were sent.
    done: usize,
}
