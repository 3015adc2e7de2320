//! Files with teams as the tools of ICPC write them: `teams.tsv` and `teams.json`. They have no usernames: the account of
//! a team is named after the contest and the team.

use serde::Deserialize;

use super::Table;

/// What the file gives for a team.
const COLUMNS: [&str; 6] = ["id", "username", "name", "organization", "country", "group"];

pub fn is_tsv(head: &str) -> bool {
    let mut values = head.trim_end().split('\t');
    matches!(values.next(), Some("teams" | "File_Version"))
        && values.next().is_some_and(|version| version.parse::<u32>().is_ok())
        && values.next().is_none()
}

/// Team number, external id, group, name, institution, its short name, country.
pub fn tsv<'a>(lines: impl Iterator<Item = (usize, &'a str)>, slug: &str) -> Table {
    let row = |line: &str| {
        let values: Vec<&str> = line.split('\t').map(str::trim).collect();
        let [number, external, group, name, organization, _, country, ..] = values.as_slice()
        else {
            return Err(format!("must have at least 7 values, got {}", values.len()));
        };
        let id = if external.is_empty() { number } else { external };
        let username = format!("{slug}-{number}");
        let row = [id, &username.as_str(), name, organization, country, group];
        Ok(row.map(|value| (*value).to_owned()).to_vec())
    };
    let rows = lines.map(|(number, line)| (number, row(line))).collect();
    Table { columns: COLUMNS.to_vec(), rows }
}

/// A team of `teams.json`. Other fields are not read.
#[derive(Deserialize)]
struct Team {
    id: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    organization_id: Option<String>,
    #[serde(default)]
    group_ids: Option<Vec<String>>,
}

/// The rows are numbered from 1. The error says what is wrong with the file.
pub fn json(text: &str, slug: &str) -> Result<Table, String> {
    let teams: Vec<Team> = serde_json::from_str(text)
        .map_err(|error| format!("must be an array of teams as in teams.json: {error}"))?;
    let row = |team: Team| {
        let username = format!("{slug}-{}", team.id);
        let name = team.display_name.or(team.name).unwrap_or_default();
        let group = team.group_ids.unwrap_or_default().into_iter().next().unwrap_or_default();
        let organization = team.organization_id.unwrap_or_default();
        vec![team.id, username, name, organization, String::new(), group]
    };
    let rows = (1..).zip(teams).map(|(number, team)| (number, Ok(row(team)))).collect();
    Ok(Table { columns: COLUMNS.to_vec(), rows })
}
