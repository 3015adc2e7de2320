//! Grafana dashboards, one file each, from which the JSON files are generated. `xtask tidy` checks that their metrics are
//! recorded.

mod engines;
mod judging;
mod overview;
mod rpc;

use serde_json::{Value, json};

/// All dashboards.
pub const ALL: &[Dashboard] =
    &[overview::DASHBOARD, rpc::DASHBOARD, judging::DASHBOARD, engines::DASHBOARD];

pub struct Dashboard {
    /// The suffix of its id, and the name of its file.
    pub uid: &'static str,
    pub title: &'static str,
    /// From the top.
    pub rows: &'static [Row],
}

/// Panels side by side under one heading.
pub struct Row {
    title: &'static str,
    panels: &'static [Panel],
}

pub struct Panel {
    title: &'static str,
    /// The description: what the graph shows, and the normal range.
    about: &'static str,
    /// Grafana's name of the unit (`s`, `ops`, `bytes`, `percentunit`, `short`).
    unit: &'static str,
    queries: &'static [Query],
}

/// One or more lines of a graph.
pub struct Query {
    expression: &'static str,
    legend: &'static str,
    /// Whether exemplar traces are shown as points.
    exemplars: bool,
}

const fn line(expression: &'static str, legend: &'static str) -> Query {
    Query { expression, legend, exemplars: false }
}

/// A line with exemplar traces.
const fn traced(expression: &'static str, legend: &'static str) -> Query {
    Query { expression, legend, exemplars: true }
}

/// Width of a page in Grafana's grid.
const COLUMNS: usize = 24;
const HEIGHT: usize = 8;

impl Dashboard {
    /// The JSON of the dashboard.
    pub fn render(&self) -> String {
        let (mut panels, mut top) = (Vec::new(), 0);
        for row in self.rows {
            let position = json!({"h": 1, "w": COLUMNS, "x": 0, "y": top});
            panels.push(json!({
                "id": panels.len() + 1, "type": "row", "title": row.title, "gridPos": position,
                "collapsed": false, "panels": [],
            }));
            top += 1;
            let width = COLUMNS / row.panels.len().max(1);
            for (at, panel) in row.panels.iter().enumerate() {
                let position = json!({"h": HEIGHT, "w": width, "x": at * width, "y": top});
                panels.push(panel.render(panels.len() + 1, &position));
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

/// The selector of processes above every dashboard.
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
    fn render(&self, id: usize, position: &Value) -> Value {
        let targets: Vec<Value> = self.queries.iter().zip('A'..='Z').map(target).collect();
        json!({
            "id": id,
            "type": "timeseries",
            "title": self.title,
            "description": self.about,
            "gridPos": position,
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
        "exemplar": query.exemplars,
        "range": true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_do_not_overlap() {
        for dashboard in ALL {
            let json: Value = serde_json::from_str(&dashboard.render()).unwrap();
            let panels = json["panels"].as_array().unwrap();
            let mut positions: Vec<_> =
                panels.iter().map(|panel| panel["gridPos"].to_string()).collect();
            positions.sort();
            positions.dedup();
            assert_eq!(positions.len(), panels.len(), "{}", dashboard.title);
            assert!(panels.iter().all(|panel| panel["gridPos"]["w"].as_u64().unwrap() >= 6));
        }
    }
}
