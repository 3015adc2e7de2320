//! Grafana's dashboards: written as short tables, one file each, and generated as the JSON that
//! Grafana reads. They show only metrics that some crate records: `xtask tidy` looks.

mod engines;
mod judging;
mod overview;
mod rpc;

use serde_json::{Value, json};

/// All of them.
pub const ALL: &[Dashboard] =
    &[overview::DASHBOARD, rpc::DASHBOARD, judging::DASHBOARD, engines::DASHBOARD];

/// One dashboard.
pub struct Dashboard {
    /// The end of its address, and the name of its file.
    pub uid: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// Its rows, from the top.
    pub rows: &'static [Row],
}

/// Panels that belong together, side by side under one heading.
pub struct Row {
    title: &'static str,
    panels: &'static [Panel],
}

/// One graph.
pub struct Panel {
    title: &'static str,
    /// What it tells, and when to worry.
    about: &'static str,
    /// As Grafana calls it (`s`, `ops`, `bytes`, `percentunit`, `short`).
    unit: &'static str,
    queries: &'static [Query],
}

/// A line, or several, of a graph.
pub struct Query {
    expression: &'static str,
    legend: &'static str,
    /// Whether traces are shown as points.
    examples: bool,
}

const fn line(expression: &'static str, legend: &'static str) -> Query {
    Query { expression, legend, examples: false }
}

/// A line with traces as points.
const fn traced(expression: &'static str, legend: &'static str) -> Query {
    Query { expression, legend, examples: true }
}

/// Grafana divides a page into so many columns.
const COLUMNS: usize = 24;
const HEIGHT: usize = 8;

impl Dashboard {
    /// The JSON that Grafana reads.
    pub fn render(&self) -> String {
        let (mut panels, mut top) = (Vec::new(), 0);
        for row in self.rows {
            let place = json!({"h": 1, "w": COLUMNS, "x": 0, "y": top});
            panels.push(json!({
                "id": panels.len() + 1, "type": "row", "title": row.title, "gridPos": place,
                "collapsed": false, "panels": [],
            }));
            top += 1;
            let width = COLUMNS / row.panels.len().max(1);
            for (at, panel) in row.panels.iter().enumerate() {
                let place = json!({"h": HEIGHT, "w": width, "x": at * width, "y": top});
                panels.push(panel.render(panels.len() + 1, &place));
            }
            top += HEIGHT;
        }
        let dashboard = json!({
            "uid": format!("agon-{}", self.uid),
            "title": format!("Agon: {}", self.title),
            "tags": ["agon"],
            "schemaVersion": 39,
            "version": 1,
            "editable": true,
            "refresh": "30s",
            "time": {"from": "now-1h", "to": "now"},
            "timezone": "browser",
            "links": [{
                "type": "dashboards", "tags": ["agon"], "title": "Agon", "asDropdown": true,
                "includeVars": true, "keepTime": true,
            }],
            "templating": {"list": [instances()]},
            "panels": panels,
        });
        format!("{dashboard:#}\n")
    }
}

/// The choice of processes above every dashboard.
fn instances() -> Value {
    json!({
        "name": "instance", "label": "Process", "type": "query", "multi": true,
        "includeAll": true, "allValue": ".*", "current": {"text": "All", "value": "$__all"},
        "datasource": source(), "refresh": 2, "sort": 1,
        "query": {"query": "label_values(agon_build_info, instance)", "refId": "instances"},
    })
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "prometheus"})
}

impl Panel {
    fn render(&self, id: usize, place: &Value) -> Value {
        let targets: Vec<Value> = self.queries.iter().zip('A'..='Z').map(target).collect();
        json!({
            "id": id,
            "type": "timeseries",
            "title": self.title,
            "description": self.about,
            "gridPos": place,
            "datasource": source(),
            "targets": targets,
            "fieldConfig": {
                "defaults": {
                    "unit": self.unit, "min": 0,
                    "custom": {"lineWidth": 1, "fillOpacity": 10, "showPoints": "never"},
                },
                "overrides": [],
            },
            "options": {
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true},
                "tooltip": {"mode": "multi", "sort": "desc"},
            },
        })
    }
}

fn target((query, letter): (&Query, char)) -> Value {
    json!({
        "refId": letter.to_string(),
        "datasource": source(),
        "expr": query.expression,
        "legendFormat": query.legend,
        "exemplar": query.examples,
        "range": true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashboards_are_json_whose_panels_have_places_of_their_own() {
        for dashboard in ALL {
            let json: Value = serde_json::from_str(&dashboard.render()).unwrap();
            let panels = json["panels"].as_array().unwrap();
            let mut places: Vec<_> =
                panels.iter().map(|panel| panel["gridPos"].to_string()).collect();
            places.sort();
            places.dedup();
            assert_eq!(places.len(), panels.len(), "{}", dashboard.title);
            assert!(panels.iter().all(|panel| panel["gridPos"]["w"].as_u64().unwrap() >= 6));
        }
    }
}
